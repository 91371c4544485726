{{/* Most of these take dict "context" . "part" PART: grafana, loki, tempo, prometheus, alloy, dashboards or rules. */}}

{{/* The beginning of all names: the release's, with the chart's unless that is in it already. A StatefulSet's pods have its name
and a hash in a label of at most 63 characters. */}}
{{- define "observability.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 26 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{- define "observability.name" -}}
{{- printf "%s-%s" (include "observability.fullname" .context) .part -}}
{{- end -}}

{{- define "observability.selectorLabels" -}}
app.kubernetes.io/name: {{ .context.Chart.Name }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* `part-of` is not imagesearch: Alloy would read its own logs. */}}
{{- define "observability.labels" -}}
{{- $ours := dict
  "helm.sh/chart" (printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .context.Chart.AppVersion
  "app.kubernetes.io/part-of" "imagesearch-observability"
  "app.kubernetes.io/managed-by" .context.Release.Service -}}
{{- $ours = merge (include "observability.selectorLabels" . | fromYaml) $ours -}}
{{- merge $ours (.labels | default dict) .context.Values.labels | toYaml -}}
{{- end -}}

{{/* Metadata of an object; also "name", unless it is the part's, and "labels" and "annotations" of its own. */}}
{{- define "observability.metadata" -}}
name: {{ .name | default (include "observability.name" .) }}
{{- if not .clusterScoped }}
namespace: {{ .context.Release.Namespace }}
{{- end }}
labels:
  {{- include "observability.labels" . | nindent 2 }}
{{- with merge (.annotations | default dict) .context.Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "observability.image" -}}
{{- with (get .context.Values .part).image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The address of a part of this release, host:port: also "port". */}}
{{- define "observability.address" -}}
{{- printf "%s.%s:%d" (include "observability.name" .) .context.Release.Namespace (int .port) -}}
{{- end -}}

{{- define "observability.adminSecret" -}}
{{- .Values.grafana.adminSecret | default (include "observability.name" (dict "context" . "part" "grafana")) -}}
{{- end -}}

{{/* What all pods have in common: also "user", and "tolerations" of their own. */}}
{{- define "observability.pod" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  # Asking for every file of a large volume at each start would take minutes.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .context.Values }}
{{- range $field, $value := dict
  "imagePullSecrets" .imagePullSecrets
  "nodeSelector" .nodeSelector
  "tolerations" ($.tolerations | default .tolerations)
  "priorityClassName" .priorityClassName }}
{{- with $value }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What all containers have in common: also "ready" and "alive", paths on the port `http`. */}}
{{- define "observability.container" -}}
image: {{ include "observability.image" . }}
imagePullPolicy: {{ .context.Values.imagePullPolicy }}
resources:
  {{- toYaml (get .context.Values .part).resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
# What was under way before may have to be read again first.
startupProbe:
  httpGet: {path: {{ .ready }}, port: http}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 150
livenessProbe:
  httpGet: {path: {{ .alive }}, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: {{ .ready }}, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* The name of a dashboard's ConfigMap: dict "context" . "path" PATH. */}}
{{- define "observability.dashboard" -}}
{{- $dashboards := dict "context" .context "part" "dashboard" -}}
{{- printf "%s-%s" (include "observability.name" $dashboards) (base .path | trimSuffix ".json") -}}
{{- end -}}
