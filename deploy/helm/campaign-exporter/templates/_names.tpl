{{- /* The name always contains campaign-exporter: the job is named after the Service, and the alerts
match that name. */ -}}
{{- define "campaign-exporter.name" -}}
{{- if contains "campaign-exporter" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-campaign-exporter" (.Release.Name | trunc 34 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "campaign-exporter.selector" -}}
app.kubernetes.io/name: campaign-exporter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "campaign-exporter.metadata" -}}
name: {{ include "campaign-exporter.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "campaign-exporter.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
