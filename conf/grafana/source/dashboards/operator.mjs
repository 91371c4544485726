// The operator, and the workers that it scales.
import { ABOUT_STACK, board, graph, logs, number, row, traces } from "../kit.mjs";

const LOGS = logs("operator");
const TRACES = traces('{ resource.service.name = "imagesearch-operator" }');
const OPERATOR = 'app_kubernetes_io_component=~"operator|"';
const rate = (metric) => `rate(${metric}[$__rate_interval])`;
const RED_FROM_1 = [
  [null, "green"],
  [1, "red"],
];

export const operator = board("operator", "Operator and autoscaler", "Whether stacks are what their resources say, and how many workers there are.")
  .withRow(row("Now"))
  .withPanel(
    number("Leaders", "Replicas of the operator that lead; exactly one should", `sum(imagesearch_operator_leading)`, {
      steps: [
        [null, "red"],
        [1, "green"],
        [2, "red"],
      ],
    }),
  )
  .withPanel(number("Stacks", "Stacks that the operator looks after", `count(imagesearch_operator_stack_ready{${ABOUT_STACK}})`))
  .withPanel(number("Not ready", "Stacks whose condition Ready is not True", `count(imagesearch_operator_stack_ready{${ABOUT_STACK}} == 0) or vector(0)`, { steps: RED_FROM_1 }))
  .withPanel(number("Scaling held", "Stacks whose workers are not scaled", `sum(imagesearch_operator_scaling_held{${ABOUT_STACK}})`, { steps: RED_FROM_1 }))
  .withPanel(
    number("Failed reconciles", "In the last 10 minutes", `sum(increase(imagesearch_operator_reconcile_errors_total[10m]))`, { decimals: 0, steps: RED_FROM_1 }),
  )
  .withPanel(number("Workers wanted", "Of all stacks", `sum(imagesearch_operator_desired_replicas{${ABOUT_STACK}})`))
  .withRow(row("Reconciling"))
  .withPanel(graph("Reconciles", "Reconciles that came to an end", [[`sum(${rate("imagesearch_operator_reconciles_total")})`, "reconciles"]], { unit: "ops", links: [LOGS, TRACES] }))
  .withPanel(
    graph("Failures", "Reconciles that failed and are tried again, by the step that failed", [[`sum by (reason) (${rate("imagesearch_operator_reconcile_errors_total")})`, "{{reason}}"]], {
      unit: "ops",
      links: [logs("operator", ' | json | level="ERROR"'), TRACES],
    }),
  )
  .withPanel(
    graph(
      "Duration",
      "How long a reconcile takes",
      [0.5, 0.99].map((quantile) => [`histogram_quantile(${quantile}, sum by (le) (${rate("imagesearch_operator_reconcile_duration_seconds_bucket")}))`, `p${quantile * 100}`]),
      { unit: "s", links: [TRACES] },
    ),
  )
  .withPanel(
    graph("API server", "Calls to the cluster's API server, by how they ended", [[`sum by (outcome) (${rate("imagesearch_operator_kubernetes_call_duration_seconds_count")})`, "{{outcome}}"]], {
      unit: "reqps",
      links: [LOGS],
    }),
  )
  .withPanel(
    graph(
      "API server, duration",
      "Time to the first byte of its answers",
      [0.5, 0.99].map((quantile) => [`histogram_quantile(${quantile}, sum by (le) (${rate("imagesearch_operator_kubernetes_call_duration_seconds_bucket")}))`, `p${quantile * 100}`]),
      { unit: "s" },
    ),
  )
  .withPanel(
    graph("Stacks that are ready", "1 when a stack's condition Ready is True", [[`max by (stack_namespace, stack) (imagesearch_operator_stack_ready{${ABOUT_STACK}})`, "{{stack_namespace}}/{{stack}}"]], {
      links: [LOGS],
    }),
  )
  .withRow(row("Autoscaler"))
  .withPanel(
    graph("Lag", "Jobs that wait or are in flight, and those in flight alone", [
      [`max by (stack_namespace, stack) (imagesearch_operator_lag{${ABOUT_STACK}})`, "{{stack_namespace}}/{{stack}}"],
      [`max by (stack_namespace, stack) (imagesearch_operator_in_flight{${ABOUT_STACK}})`, "{{stack_namespace}}/{{stack}} in flight"],
    ]),
  )
  .withPanel(
    graph("Workers wanted", "Workers that there should be", [[`max by (stack_namespace, stack) (imagesearch_operator_desired_replicas{${ABOUT_STACK}})`, "{{stack_namespace}}/{{stack}}"]], { links: [LOGS] }),
  )
  .withPanel(
    graph("Held, and readings that failed", "1 while a stack's workers are not scaled; failed readings of the lag per second", [
      [`max by (stack_namespace, stack) (imagesearch_operator_scaling_held{${ABOUT_STACK}})`, "{{stack_namespace}}/{{stack}} held"],
      [`sum by (stack_namespace, stack) (rate(imagesearch_operator_lag_read_errors_total{${ABOUT_STACK}}[$__rate_interval]))`, "{{stack_namespace}}/{{stack}} failed readings"],
    ], { links: [LOGS] }),
  )
  .withRow(row("Process"))
  .withPanel(graph("Memory", "Resident memory", [[`process_resident_memory_bytes{${OPERATOR}} and on (instance) imagesearch_operator_leading`, "{{instance}}"]], { unit: "bytes", width: 12 }))
  .withPanel(graph("Processor", "Processors that are busy", [[`${rate(`process_cpu_seconds_total{${OPERATOR}}`)} and on (instance) imagesearch_operator_leading`, "{{instance}}"]], { width: 12 }));
