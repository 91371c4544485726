// Searches: are they answered, how fast, and what takes the time.
import { OF_STACK, board, graph, logs, number, quantile, quantiles, row, traces } from "../kit.mjs";

const SEARCHES = `${OF_STACK},http_route=~"/api/v1/image.*"`;
const LOGS = logs("searchapi");
const TRACES = traces('{ resource.service.name =~ "imagesearch(-searchapi)?" }');
const rate = (metric, selector) => `rate(${metric}{${selector}}[$__rate_interval])`;

export const search = board("search", "Search", "Searches, lists and documents of images.")
  .withRow(row("Now"))
  .withPanel(number("Searches per second", "Requests to the search API", `sum(${rate("http_server_request_duration_seconds_count", SEARCHES)})`, { unit: "reqps", width: 5 }))
  .withPanel(
    number("Failed", "Share answered with 5xx, last 5 minutes", `max(imagesearch:search_errors:ratio_rate5m{${OF_STACK}})`, {
      unit: "percentunit",
      decimals: 3,
      steps: [
        [null, "green"],
        [0.001, "orange"],
        [0.0144, "red"],
      ],
      width: 5,
    }),
  )
  .withPanel(
    number("Slow", "Share not answered within 0.5 s, last 5 minutes", `max(imagesearch:search_slow:ratio_rate5m{${OF_STACK}})`, {
      unit: "percentunit",
      decimals: 2,
      steps: [
        [null, "green"],
        [0.01, "orange"],
        [0.144, "red"],
      ],
      width: 5,
    }),
  )
  .withPanel(
    number("Circuit", "1 while searches are refused because the index is away", `max(imagesearch_circuit_open{${OF_STACK},circuit="search"})`, {
      steps: [
        [null, "green"],
        [1, "red"],
      ],
      width: 4,
    }),
  )
  .withPanel(number("Images", "Images that can be found", `max(imagesearch_index_vectors{${OF_STACK}})`, { width: 5 }))
  .withRow(row("Requests"))
  .withPanel(
    graph("By route", "Requests by route", [[`sum by (http_request_method, http_route) (${rate("http_server_request_duration_seconds_count", SEARCHES)})`, "{{http_request_method}} {{http_route}}"]], {
      unit: "reqps",
      links: [LOGS],
    }),
  )
  .withPanel(
    graph("By status", "Requests by status; 503 with an open circuit means that the index is away", [[`sum by (http_response_status_code) (${rate("http_server_request_duration_seconds_count", SEARCHES)})`, "{{http_response_status_code}}"]], {
      unit: "reqps",
      stacked: true,
      links: [logs("searchapi", ' | json | level="ERROR"'), traces('{ resource.service.name =~ "imagesearch(-searchapi)?" && status = error }')],
    }),
  )
  .withPanel(
    graph("Latency", "Time to the first byte", quantiles("http_server_request_duration_seconds", SEARCHES), {
      unit: "s",
      exemplars: true,
      links: [traces('{ resource.service.name =~ "imagesearch(-searchapi)?" && duration > 500ms }')],
    }),
  )
  .withRow(row("What takes the time"))
  .withPanel(
    graph("Query to vector, 95 of 100", "Time to embed a query, by what is searched by", [quantile(0.95, "imagesearch_query_embed_duration_seconds", OF_STACK, "input")], {
      unit: "s",
      exemplars: true,
      links: [TRACES],
    }),
  )
  .withPanel(
    graph("Index, 95 of 100", "Time that the index takes to answer", [quantile(0.95, "imagesearch_backend_call_duration_seconds", `${OF_STACK},backend="index",operation=~"search|get|list|count"`, "operation")], {
      unit: "s",
      exemplars: true,
      links: [TRACES],
    }),
  )
  .withPanel(
    graph("Texts remembered", "Share of texts whose vector was still known", [
      [
        `sum(${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache="query_text",result="hit"`)}) / sum(${rate("imagesearch_cache_lookups_total", `${OF_STACK},cache="query_text"`)})`,
        "hits",
      ],
    ], { unit: "percentunit" }),
  )
  .withPanel(
    graph("Requests at once", "Requests whose answer has not begun, and how many there may be in a process", [
      [`max(imagesearch_limit_used{${OF_STACK},app_kubernetes_io_component=~"searchapi(-b)?|up",resource="requests"})`, "busiest process"],
      [`min(imagesearch_limit{${OF_STACK},app_kubernetes_io_component=~"searchapi(-b)?|up",resource="requests"})`, "limit"],
    ]),
  );
