{{/* What the operator may do where it looks after queues. Secrets only by name: it can't find out which there are. */}}
{{- define "jobyard.rules" -}}
- apiGroups: [jobyard.dev]
  resources: [jobqueues, jobschedules]
  verbs: [get, list, watch, patch]
- apiGroups: [jobyard.dev]
  resources: [jobqueues/status, jobschedules/status]
  verbs: [get, patch, update]
- apiGroups: [jobyard.dev]
  resources: [deadjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [get, patch, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# Whether it is being deleted: then DeadJobs go with it, and nobody means to discard their jobs.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}

{{/* The operator's account, as a binding names it. */}}
{{- define "jobyard.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "jobyard.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
