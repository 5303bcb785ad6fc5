{{/* Begins the names of all objects. Room is left for "-operator" and a pod's suffix. */}}
{{- define "jobyard.fullname" -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- .Values.fullnameOverride | default $default | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels that find a component's pods; Deployments can't change them. Takes {root, component}. */}}
{{- define "jobyard.selector" -}}
app.kubernetes.io/name: jobyard
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* All labels of an object of a component. Takes {root, component}. */}}
{{- define "jobyard.labels" -}}
{{ include "jobyard.selector" . }}
app.kubernetes.io/part-of: jobyard
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels of an object of a component, which is called as it. Takes {root, component}. */}}
{{- define "jobyard.metadata" -}}
name: {{ include "jobyard.fullname" .root }}-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "jobyard.labels" . | nindent 2 }}
{{- end -}}

{{- define "jobyard.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "jobyard.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (printf "%s-operator" (include "jobyard.fullname" .)) -}}
{{- end -}}

{{/* The Secret with the trial Valkey's URL. */}}
{{- define "jobyard.valkeySecret" -}}
{{- .Values.valkey.auth.existingSecret | default (printf "%s-valkey" (include "jobyard.fullname" .)) -}}
{{- end -}}

{{- define "jobyard.valkeyHost" -}}
{{ include "jobyard.fullname" . }}-valkey.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* What the restricted Pod Security Standard demands of a container, and no writable root. */}}
{{- define "jobyard.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{/* Spread over zones and nodes, but never unscheduled for it. Takes {root, component}. */}}
{{- define "jobyard.spread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "jobyard.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}
