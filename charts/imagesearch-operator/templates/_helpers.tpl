{{/* The name of everything: the release's, with the chart's unless that is in it already. */}}
{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "operator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The network policies of stacks let pods in by this name: it can't be another. */}}
{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: imagesearch-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{- $ours := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/component" "operator"
  "app.kubernetes.io/part-of" "imagesearch"
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $ours = merge (include "operator.selectorLabels" . | fromYaml) $ours -}}
{{- merge $ours .Values.labels | toYaml -}}
{{- end -}}

{{/* Metadata of an object: dict "context" . "name" NAME, and "annotations" of its own, another "namespace" than the release's. */}}
{{- define "operator.metadata" -}}
name: {{ .name }}
{{- if not .clusterScoped }}
namespace: {{ .namespace | default .context.Release.Namespace }}
{{- end }}
labels:
  {{- include "operator.labels" .context | nindent 2 }}
{{- with merge (.annotations | default dict) .context.Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "operator.watchedNamespaces" -}}
{{- $all := dict -}}
{{- with .Values.watchNamespace -}}
{{- $all = dict "matchLabels" (dict "kubernetes.io/metadata.name" .) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}
