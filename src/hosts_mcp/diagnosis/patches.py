"""The collector lines that a hint offers: what to merge into a configuration that exists.

Old component names are printed because they run on every version. For collectors from before 2025, which do not know
every key, there is `hosts-mcp config collector --older`.
"""

from __future__ import annotations

SCRAPER = """receivers:
  hostmetrics:
    scrapers:
      {name}: {{}}"""
MEMORY = """receivers:
  hostmetrics:
    scrapers:
      memory:
        metrics:
          system.linux.memory.available: {enabled: true}
          system.memory.limit: {enabled: true}"""
INTERVAL = """receivers:
  hostmetrics:
    collection_interval: 10s"""
PROCESS = """receivers:
  hostmetrics/process:
    collection_interval: 30s
    scrapers:
      process: {mute_process_all_errors: true}
service:
  pipelines:
    metrics: {receivers: [hostmetrics, hostmetrics/process]}"""
WHOLE = """receivers:
  hostmetrics:
    collection_interval: 10s
    scrapers: {cpu: {}, load: {}, memory: {}, paging: {}, disk: {}, filesystem: {}, network: {}, processes: {}}
processors:
  resourcedetection: {detectors: [env, system], override: false}
service:
  pipelines:
    metrics: {receivers: [hostmetrics], processors: [resourcedetection], exporters: [otlp]}"""
SPANS = """processors:
  resourcedetection: {detectors: [env, system], override: false, system: {hostname_sources: [os]}}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [resourcedetection], exporters: [otlp]}
# or, for the service itself: OTEL_RESOURCE_ATTRIBUTES=host.name=$(hostname)"""
CONTAINER = """receivers:
  docker_stats:            # on Kubernetes: kubeletstats with k8s.container.memory_limit_utilization
    collection_interval: 10s
    metrics:
      container.cpu.throttling_data.periods: {enabled: true}
      container.cpu.throttling_data.throttled_periods: {enabled: true}"""
