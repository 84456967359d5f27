{{/* Name of what the chart makes. */}}
{{- define "warmfront.name" -}}
{{- .Values.fullnameOverride | default .Release.Name -}}
{{- end -}}

{{/* What the controller runs as. An account that exists must be named: nobody wants these rights on `default` by accident. */}}
{{- define "warmfront.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "warmfront.name" .) -}}
{{- else -}}
{{- required "serviceAccount.create is false: serviceAccount.name must name the ServiceAccount that is to be used" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The image. */}}
{{- define "warmfront.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* By which labels the controller's pods are found. Those of a Deployment can never change: they hold no version. */}}
{{- define "warmfront.selector" -}}
app.kubernetes.io/name: warmfront
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object, after those that it must have: (list $ (dict …)). */}}
{{- define "warmfront.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/name" "warmfront" "app.kubernetes.io/instance" $root.Release.Name "app.kubernetes.io/managed-by" $root.Release.Service "app.kubernetes.io/version" $root.Chart.AppVersion "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge (dict) (index . 1) $own $root.Values.global.commonLabels) -}}
{{- end -}}

{{/* Labels of pods, which no new version of the chart may change by itself: (list $ (dict …)). */}}
{{- define "warmfront.podLabels" -}}
{{- $root := index . 0 -}}
{{- toYaml (merge (dict) (index . 1) $root.Values.podLabels $root.Values.global.commonLabels) -}}
{{- end -}}
