{{/* Everything of a part that keeps something on a volume: dict "context" . "part" PART "config" CONFIG "server" SERVER. CONFIG has
the files of its configuration, by name. SERVER has user, data (the folder of its volume), ports (numbers by name), args, env,
ready and alive (paths), configItems (what lies in a folder of the configuration), mounts and volumes. */}}
{{- define "observability.server" -}}
{{- $server := .server }}
{{- $storage := (get .context.Values .part).storage }}
{{- $keep := dict "helm.sh/resource-policy" "keep" }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "observability.metadata" . | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "observability.metadata" . | nindent 2 }}
data:
  {{- toYaml .config | nindent 2 }}
---
# Of no StatefulSet, so that a larger size is a change like any other.
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "observability.metadata" (merge (dict "annotations" $keep) .) | nindent 2 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $storage.className }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ $storage.size }}}}
---
apiVersion: v1
kind: Service
metadata:
  {{- include "observability.metadata" . | nindent 2 }}
spec:
  selector:
    {{- include "observability.selectorLabels" . | nindent 4 }}
  ports:
    {{- range $name, $port := $server.ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
---
# Never two at once on one volume, which a Deployment doesn't promise.
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "observability.metadata" . | nindent 2 }}
spec:
  replicas: 1
  # A pod that can't start is replaced by one of a mended configuration.
  podManagementPolicy: Parallel
  revisionHistoryLimit: 3
  serviceName: {{ include "observability.name" . }}
  selector:
    matchLabels:
      {{- include "observability.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "observability.labels" . | nindent 8 }}
      annotations:
        checksum/config: {{ toJson .config | sha256sum }}
        {{- with .context.Values.annotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "observability.name" . }}
      automountServiceAccountToken: false
      # What is in memory is written.
      terminationGracePeriodSeconds: 60
      {{- include "observability.pod" (merge (dict "user" $server.user) .) | nindent 6 }}
      containers:
        - name: {{ .part }}
          {{- include "observability.container" (merge (dict "ready" $server.ready "alive" $server.alive) .) | nindent 10 }}
          {{- with $server.args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $server.env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- range $name, $port := $server.ports }}
            - {name: {{ $name }}, containerPort: {{ $port }}}
            {{- end }}
          volumeMounts:
            - {name: data, mountPath: {{ $server.data }}}
            - {name: tmp, mountPath: /tmp}
            {{- range $server.mounts }}
            - {{ toJson . }}
            {{- end }}
      volumes:
        - name: data
          persistentVolumeClaim: {claimName: {{ include "observability.name" . }}}
        - name: tmp
          emptyDir: {sizeLimit: 256Mi}
        - name: config
          configMap:
            name: {{ include "observability.name" . }}
            {{- with $server.configItems }}
            items:
              {{- toYaml . | nindent 14 }}
            {{- end }}
        {{- with $server.volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
