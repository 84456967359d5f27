{{/* What the pods of the controller and of the Job that gives everything back have in common. */}}
{{- define "warmfront.pod" -}}
serviceAccountName: {{ include "warmfront.account" . }}
{{- with concat .Values.imagePullSecrets .Values.global.imagePullSecrets | uniq }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName | default .Values.global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with merge (dict) .Values.nodeSelector .Values.global.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.volumes }}
volumes: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/* What their containers have in common. */}}
{{- define "warmfront.container" -}}
image: {{ include "warmfront.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.volumeMounts }}
volumeMounts: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- toYaml .Values.containerSecurityContext | nindent 2 }}
resources: {{- toYaml .Values.resources | nindent 2 }}
{{- end -}}

{{/* … and their environments. */}}
{{- define "warmfront.env" -}}
- {name: WARMFRONT_LOG, value: {{ .Values.log | quote }}}
# The pod's name is the holder's name: a container that starts again has its own lease back at once.
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
{{- if not .Values.configMaps }}
- {name: WARMFRONT_CONFIG_MAPS, value: "false"}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
