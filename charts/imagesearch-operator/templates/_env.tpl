{{/* Where the operator is, and what it assumes where a stack says nothing. */}}
{{- define "operator.env" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with .Values.stacks }}
{{- range $variable, $value := dict
  "IMAGE" .images.imagesearch
  "FRONTEND_IMAGE" .images.frontend
  "NATS_IMAGE" .images.nats
  "MILVUS_IMAGE" .images.milvus
  "MINIO_IMAGE" .images.minio
  "SEAWEEDFS_IMAGE" .images.seaweedfs
  "CLUSTER_DOMAIN" .clusterDomain
  "LEASE" (include "operator.fullname" $)
  "LOG" $.Values.log
  "WATCH_NAMESPACE" $.Values.watchNamespace }}
{{- if $value }}
- name: IMAGESEARCH_OPERATOR_{{ $variable }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
