// Originals and resized copies.
import { OF_STACK, board, graph, logs, number, quantile, quantiles, row, traces } from "../kit.mjs";

const IMAGES = `${OF_STACK},http_route=~"/images/.*"`;
const LOGS = logs("cdnapi");
const TRACES = traces('{ resource.service.name =~ "imagesearch(-cdnapi)?" }');
const rate = (metric, selector) => `rate(${metric}{${selector}}[$__rate_interval])`;
const hits = (cache) => [
  `sum(${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache="${cache}",result="hit"`)}) / sum(${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache="${cache}"`)})`,
  cache,
];

export const delivery = board("delivery", "Delivery", "Images on their way to those who look at them.")
  .withRow(row("Now"))
  .withPanel(number("Images per second", "Requests for originals and copies", `sum(${rate("http_server_request_duration_seconds_count", IMAGES)})`, { unit: "reqps", width: 6 }))
  .withPanel(
    number("Failed", "Share answered with 5xx, last 5 minutes", `max(imagesearch:delivery_errors:ratio_rate5m{${OF_STACK}})`, {
      unit: "percentunit",
      decimals: 3,
      steps: [
        [null, "green"],
        [0.001, "orange"],
        [0.01, "red"],
      ],
      width: 6,
    }),
  )
  .withPanel(number("Copies made per second", "Resized copies that were neither in memory nor stored", `sum(${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache="stored_variants",result="miss"`)})`, { decimals: 2, width: 6 }))
  .withPanel(number("Copies being made", "Resized copies that are made now", `sum(imagesearch_limit_used{${OF_STACK},resource="renders"})`, { width: 6 }))
  .withRow(row("Requests"))
  .withPanel(
    graph("By status", "304 is a copy that the client still had, 206 a part", [[`sum by (http_response_status_code) (${rate("http_server_request_duration_seconds_count", IMAGES)})`, "{{http_response_status_code}}"]], {
      unit: "reqps",
      stacked: true,
      links: [LOGS],
    }),
  )
  .withPanel(
    graph("Latency", "Time to the first byte", quantiles("http_server_request_duration_seconds", IMAGES), {
      unit: "s",
      exemplars: true,
      links: [TRACES],
    }),
  )
  .withPanel(
    graph("Object store, 95 of 100", "Time that the object store takes to answer", [quantile(0.95, "imagesearch_backend_call_duration_seconds", `${OF_STACK},backend="objects",operation=~"get|head|read|put"`, "operation")], {
      unit: "s",
      exemplars: true,
      links: [TRACES],
    }),
  )
  .withRow(row("What is remembered"))
  .withPanel(
    graph("Hits", "Share of looks into a cache that found something", ["variants", "stored_variants", "locations", "hot_originals"].map(hits), {
      unit: "percentunit",
    }),
  )
  .withPanel(
    graph("Looks", "Looks into caches", [[`sum by (cache, result) (${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache!="query_text"`)})`, "{{cache}}: {{result}}"]], { stacked: true }),
  )
  .withPanel(
    graph("Copies being made", "Resized copies that are made at once, and how many may be", [
      [`sum(imagesearch_limit_used{${OF_STACK},resource="renders"})`, "made"],
      [`sum(imagesearch_limit{${OF_STACK},resource="renders"})`, "limit"],
    ]),
  );
