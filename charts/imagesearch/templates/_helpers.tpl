{{- define "stack.name" -}}
{{- .Values.name | default .Release.Name -}}
{{- end -}}

{{/* What the operator calls a child (operator/src/controller/names.rs): dict "stack" NAME "suffix" SUFFIX. */}}
{{- define "stack.child" -}}
{{- $name := printf "%s-%s" .stack .suffix -}}
{{- if le (len $name) 52 -}}
{{- $name -}}
{{- else -}}
{{- $kept := .stack | trunc (int (sub 42 (len .suffix))) | trimAll "-" -}}
{{- printf "%s-%s-%s" $kept (sha256sum .stack | trunc 8) .suffix -}}
{{- end -}}
{{- end -}}
