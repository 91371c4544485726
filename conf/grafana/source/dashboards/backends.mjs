// The stores as the services see them, and the processes themselves.
import { COMPONENT, OF_STACK, board, graph, logs, number, quantile, row, traces } from "../kit.mjs";

const CALLS = "imagesearch_backend_call_duration_seconds";
const ANY = ".+";
const of = (backend) => `${OF_STACK},backend="${backend}"`;
const rate = (metric, selector) => `rate(${metric}{${selector}}[$__rate_interval])`;

const NAMES = { objects: "Object store", queue: "Queue", index: "Index", url: "Other sites" };

const board_ = board("backends", "Backends", "Stores and other sites as the services see them, and what the processes need.")
  .withRow(row("Now"));
for (const [backend, name] of Object.entries(NAMES)) {
  board_.withPanel(
    number(`${name}: failed`, "Share of calls that found it away, slow, full or refusing, last 5 minutes", `max(imagesearch:backend_unavailable:ratio_rate5m{${of(backend)}})`, {
      unit: "percentunit",
      decimals: 2,
      steps: [
        [null, "green"],
        [0.01, "orange"],
        [0.05, "red"],
      ],
      width: 5,
    }),
  );
}
board_.withPanel(
  number("Circuits open", "Stores that are known to be away", `sum(imagesearch_circuit_open{${OF_STACK}})`, {
    steps: [
      [null, "green"],
      [1, "red"],
    ],
  }),
);
for (const [backend, name] of Object.entries(NAMES)) {
  board_
    .withRow(row(name))
    .withPanel(
      graph("Calls", "Calls by what was asked", [[`sum by (operation) (${rate(`${CALLS}_count`, of(backend))})`, "{{operation}}"]], {
        unit: "reqps",
        links: [logs(ANY)],
      }),
    )
    .withPanel(
      graph("How they end", "Calls by how they ended; conflict and abandoned are no faults of the store", [[`sum by (outcome) (${rate(`${CALLS}_count`, of(backend))})`, "{{outcome}}"]], {
        unit: "reqps",
        stacked: true,
        links: [logs(ANY, ' | json | level=~"WARN|ERROR"'), traces("{ kind = client && status = error }")],
      }),
    )
    .withPanel(
      graph("99 of 100", "Time that 99 of 100 calls stay below, by what was asked", [quantile(0.99, CALLS, of(backend), "operation")], {
        unit: "s",
        exemplars: true,
        links: [traces("{ kind = client && duration > 250ms }")],
      }),
    );
}

export const backends = board_
  .withRow(row("Processes"))
  .withPanel(
    graph("Threads of the runtime that are busy", "Share of the time in which the threads for asynchronous work were busy", [
      [`max by (${COMPONENT}) (${rate("tokio_workers_busy_seconds_total", OF_STACK)} / on (instance, ${COMPONENT}) tokio_workers{${OF_STACK}})`, `{{${COMPONENT}}}`],
    ], { unit: "percentunit" }),
  )
  .withPanel(
    graph("Tasks of the runtime", "Tasks that have not ended, and those that wait for a thread", [
      [`sum by (${COMPONENT}) (tokio_alive_tasks{${OF_STACK}})`, `{{${COMPONENT}}}`],
      [`sum by (${COMPONENT}) (tokio_global_queue_tasks{${OF_STACK}})`, `{{${COMPONENT}}} waiting`],
    ]),
  )
  .withPanel(
    graph("How often threads had nothing to do", "Parks per second", [[`sum by (${COMPONENT}) (${rate("tokio_workers_parks_total", OF_STACK)})`, `{{${COMPONENT}}}`]]),
  )
  .withPanel(
    graph("Open files", "Share of the file descriptors that may be open", [[`max by (${COMPONENT}) (process_open_fds{${OF_STACK}} / process_max_fds{${OF_STACK}})`, `{{${COMPONENT}}}`]], {
      unit: "percentunit",
    }),
  )
  .withPanel(graph("Threads", "Threads of the operating system", [[`sum by (${COMPONENT}) (process_threads{${OF_STACK}})`, `{{${COMPONENT}}}`]]))
  .withPanel(
    graph("Age", "Since the youngest process of each service was started", [[`min by (${COMPONENT}) (time() - process_start_time_seconds{${OF_STACK}})`, `{{${COMPONENT}}}`]], {
      unit: "s",
      links: [logs(ANY)],
    }),
  );
