// The first page of whoever is on call: is it well, for how long can it go on like this, and where to look further.
import { COMPONENT, OF_STACK, board, graph, logs, number, quantile, row, traces } from "../kit.mjs";

const GOOD_RATIO = [
  [null, "red"],
  [0.999, "green"],
];
const BUDGET = [
  [null, "red"],
  [0, "orange"],
  [0.25, "green"],
];
const ANY = ".+";

export const overview = board(
  "overview",
  "Overview",
  "Whether image search keeps its promises: 99.9 % of searches answered, 99 % of them within half a second.",
)
  .withRow(row("Promises, over 30 days"))
  .withPanel(
    number("Alerts", "Alerts of ours that fire now", 'count(ALERTS{alertname=~"ImageSearch.+",alertstate="firing"}) or vector(0)', {
      steps: [
        [null, "green"],
        [1, "red"],
      ],
    }),
  )
  .withPanel(
    number("Searches answered", "Share of searches without a fault of ours; 99.9 % are promised", `1 - max(imagesearch:search_errors:ratio_rate30d{${OF_STACK}})`, {
      unit: "percentunit",
      decimals: 3,
      steps: GOOD_RATIO,
      width: 5,
    }),
  )
  .withPanel(
    number("Error budget left", "What may still fail of the 0.1 % of searches", `1 - max(imagesearch:search_errors:ratio_rate30d{${OF_STACK}}) / 0.001`, {
      unit: "percentunit",
      decimals: 1,
      steps: BUDGET,
      width: 5,
    }),
  )
  .withPanel(
    number("Searches in time", "Share of searches answered within 0.5 s; 99 % are promised", `1 - max(imagesearch:search_slow:ratio_rate30d{${OF_STACK}})`, {
      unit: "percentunit",
      decimals: 2,
      steps: [
        [null, "red"],
        [0.99, "green"],
      ],
      width: 5,
    }),
  )
  .withPanel(
    number("Latency budget left", "What may still be slow of the 1 % of searches", `1 - max(imagesearch:search_slow:ratio_rate30d{${OF_STACK}}) / 0.01`, {
      unit: "percentunit",
      decimals: 1,
      steps: BUDGET,
      width: 5,
    }),
  )
  .withRow(row("Now"))
  .withPanel(number("Images", "Images that can be found", `max(imagesearch_index_vectors{${OF_STACK}})`))
  .withPanel(number("Waiting", "Jobs that wait for a worker", `max(imagesearch_queue_jobs{${OF_STACK},state="waiting"})`))
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
  .withPanel(
    number("Dead letters", "Images that could not be indexed and are kept with their reason", `max(imagesearch_queue_tasks{${OF_STACK},status="failed"})`),
  )
  .withPanel(
    number("Processes away", "Processes that can't be scraped", `count(up{${OF_STACK},${COMPONENT}=~"${ANY}"} == 0) or vector(0)`, {
      steps: [
        [null, "green"],
        [1, "red"],
      ],
    }),
  )
  .withPanel(
    number("Circuits open", "Stores that are known to be away, as those see it who would use them", `sum(imagesearch_circuit_open{${OF_STACK}})`, {
      steps: [
        [null, "green"],
        [1, "red"],
      ],
    }),
  )
  .withRow(row("Requests"))
  .withPanel(
    graph("Requests", "Requests by service", [[`sum by (${COMPONENT}) (imagesearch:http_requests:rate5m{${OF_STACK}})`, `{{${COMPONENT}}}`]], {
      unit: "reqps",
      links: [logs(ANY)],
    }),
  )
  .withPanel(
    graph("Failed requests", "Share of requests answered with 5xx", [[`max by (${COMPONENT}) (imagesearch:http_errors:ratio_rate5m{${OF_STACK}})`, `{{${COMPONENT}}}`]], {
      unit: "percentunit",
      links: [logs(ANY, ' | json | level="ERROR"'), traces("{ status = error }")],
    }),
  )
  .withPanel(
    graph("Latency, 99 of 100", "Time to the first byte that 99 of 100 requests stay below", [quantile(0.99, "http_server_request_duration_seconds", OF_STACK, COMPONENT)], {
      unit: "s",
      exemplars: true,
      links: [traces("{ duration > 500ms }")],
    }),
  )
  .withRow(row("Budgets"))
  .withPanel(
    graph(
      "Search: how fast the error budget burns",
      "1 uses the budget up in exactly 30 days; 14.4 for an hour pages",
      ["5m", "1h", "6h"].map((window) => [`max(imagesearch:search_errors:ratio_rate${window}{${OF_STACK}}) / 0.001`, window]),
      { steps: [[null, "green"], [1, "orange"], [14.4, "red"]] },
    ),
  )
  .withPanel(
    graph(
      "Search: how fast the latency budget burns",
      "1 uses the budget up in exactly 30 days; 14.4 for an hour pages",
      ["5m", "1h", "6h"].map((window) => [`max(imagesearch:search_slow:ratio_rate${window}{${OF_STACK}}) / 0.01`, window]),
      { steps: [[null, "green"], [1, "orange"], [14.4, "red"]] },
    ),
  )
  .withPanel(
    graph("Images per second", "How workers were done with images", [[`sum by (outcome) (imagesearch:ingest_jobs:rate5m{${OF_STACK}})`, "{{outcome}}"]], {
      stacked: true,
      links: [logs("ingestworker")],
    }),
  )
  .withRow(row("Processes"))
  .withPanel(
    graph("Processor", "Processors that are busy", [[`sum by (${COMPONENT}) (rate(process_cpu_seconds_total{${OF_STACK}}[$__rate_interval]))`, `{{${COMPONENT}}}`]]),
  )
  .withPanel(
    graph("Memory", "Resident memory", [[`sum by (${COMPONENT}) (process_resident_memory_bytes{${OF_STACK}})`, `{{${COMPONENT}}}`]], { unit: "bytes" }),
  )
  .withPanel(
    graph(
      "Versions and models",
      "How many processes run which version, and work with which model; more than one model for long is a fault",
      [
        [`count by (version) (imagesearch_build_info{${OF_STACK}})`, "{{version}}"],
        [`count by (fingerprint) (imagesearch_model_info{${OF_STACK}})`, "{{fingerprint}}"],
      ],
    ),
  );
