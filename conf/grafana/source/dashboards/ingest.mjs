// From an upload to a vector: is it going on, how long does it take, and what can't be indexed.
import { OF_STACK, board, graph, logs, number, quantile, quantiles, row, traces } from "../kit.mjs";

const WORKER = "ingestworker";
const rate = (metric, selector = "") => `rate(${metric}{${OF_STACK}${selector}}[$__rate_interval])`;

export const ingest = board("ingest", "Ingest", "Images on their way into the index.")
  .withRow(row("Now"))
  .withPanel(number("Waiting", "Jobs that wait for a worker", `max(imagesearch_queue_jobs{${OF_STACK},state="waiting"})`))
  .withPanel(number("In flight", "Jobs that workers have", `max(imagesearch_queue_jobs{${OF_STACK},state="in_flight"})`))
  .withPanel(
    number("Oldest job", "How long the oldest job has waited", `max(imagesearch_queue_oldest_job_age_seconds{${OF_STACK}})`, {
      unit: "s",
      steps: [
        [null, "green"],
        [300, "orange"],
        [900, "red"],
      ],
    }),
  )
  .withPanel(number("Indexed per second", "Images that became findable", `sum(imagesearch:ingest_jobs:rate5m{${OF_STACK},outcome="indexed"})`, { decimals: 2 }))
  .withPanel(number("Dead letters", "Images that could not be indexed", `max(imagesearch_queue_tasks{${OF_STACK},status="failed"})`))
  .withPanel(
    number("Circuit", "1 while workers wait for a store that is away", `max(imagesearch_circuit_open{${OF_STACK},circuit="ingest"})`, {
      steps: [
        [null, "green"],
        [1, "red"],
      ],
    }),
  )
  .withRow(row("In and out"))
  .withPanel(
    graph("Received", "Images that were sent or named, by what became of them at the door", [[`sum by (source, outcome) (${rate("imagesearch_ingest_received_images_total")})`, "{{source}}: {{outcome}}"]], {
      links: [logs("ingestapi"), traces('{ resource.service.name =~ "imagesearch(-ingestapi)?" }')],
    }),
  )
  .withPanel(
    graph("Done", "Images that workers were done with", [[`sum by (outcome) (${rate("imagesearch_ingest_jobs_total")})`, "{{outcome}}"]], {
      stacked: true,
      links: [logs(WORKER), traces('{ resource.service.name =~ "imagesearch(-ingestworker)?" }')],
    }),
  )
  .withPanel(
    graph("Why images failed", "Ends without an index entry, and other tries, by reason", [[`sum by (outcome, reason) (${rate("imagesearch_ingest_jobs_total", ',outcome=~"failed|retried"')})`, "{{outcome}}: {{reason}}"]], {
      links: [logs(WORKER, ' | json | level="WARN"')],
    }),
  )
  .withPanel(
    graph("Queue", "Jobs in the queue", [[`max by (state) (imagesearch_queue_jobs{${OF_STACK}})`, "{{state}}"]], { stacked: true }),
  )
  .withPanel(graph("Tasks that are kept", "Tasks by status", [[`max by (status) (imagesearch_queue_tasks{${OF_STACK}})`, "{{status}}"]]))
  .withPanel(
    graph("From accepted to found", "Time from accepting an image to finding it", quantiles("imagesearch_ingest_time_to_index_seconds", OF_STACK), {
      unit: "s",
      exemplars: true,
      links: [traces('{ resource.service.name =~ "imagesearch(-ingestworker)?" }')],
    }),
  )
  .withRow(row("Workers"))
  .withPanel(
    graph("Stages, 95 of 100", "Time in each stage; read and decode of one image, embed and index of a batch", [quantile(0.95, "imagesearch_ingest_stage_duration_seconds", OF_STACK, "stage")], {
      unit: "s",
      exemplars: true,
      links: [traces('{ resource.service.name =~ "imagesearch(-ingestworker)?" }')],
    }),
  )
  .withPanel(
    graph("Images in a batch", "Mean; a full batch means that workers are busy", [
      [`sum(${rate("imagesearch_ingest_batch_images_sum")}) / sum(${rate("imagesearch_ingest_batch_images_count")})`, "images"],
    ]),
  )
  .withPanel(
    graph("Jobs held", "Jobs that workers hold, and how many they may", [
      [`sum(imagesearch_limit_used{${OF_STACK},resource="jobs"})`, "held"],
      [`sum(imagesearch_limit{${OF_STACK},resource="jobs"})`, "limit"],
    ]),
  )
  .withPanel(
    graph("Fetches by URL", "Requests to other sites, by how they ended", [[`sum by (outcome) (${rate("imagesearch_backend_call_duration_seconds_count", ',backend="url"')})`, "{{outcome}}"]], {
      links: [logs(WORKER)],
    }),
  )
  .withPanel(
    graph("Sweeps", "Comparisons of what is stored with index and queue", [[`sum by (outcome) (increase(imagesearch_sweeps_total{${OF_STACK}}[1h]))`, "{{outcome}}, last hour"]], {
      links: [logs("ingestapi")],
    }),
  )
  .withPanel(
    graph("Differences that sweeps found", "Images that differed between the stores, last hour; many mean that something was lost", [[`sum by (action) (increase(imagesearch_sweep_images_total{${OF_STACK}}[1h]))`, "{{action}}"]], {
      links: [logs("ingestapi")],
    }),
  );
