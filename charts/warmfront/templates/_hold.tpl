{{/* Version in which the API server has MutatingAdmissionPolicy, where it is to hold changed templates; else "none". */}}
{{- define "warmfront.hold" -}}
{{- if and (eq .Values.hold "Auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") -}}
v1
{{- else if and (eq .Values.hold "Auto") (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy") -}}
v1beta1
{{- else -}}
none
{{- end -}}
{{- end -}}
