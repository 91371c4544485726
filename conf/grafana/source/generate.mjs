// Writes conf/grafana/dashboards/*.json; with --check it only tells whether they are what this would write.
import { readFileSync, writeFileSync } from "node:fs";

import { backends } from "./dashboards/backends.mjs";
import { delivery } from "./dashboards/delivery.mjs";
import { ingest } from "./dashboards/ingest.mjs";
import { operator } from "./dashboards/operator.mjs";
import { overview } from "./dashboards/overview.mjs";
import { search } from "./dashboards/search.mjs";

const isCheck = process.argv.includes("--check");
const folder = new URL("../dashboards/", import.meta.url);
const stale = [];
for (const dashboard of [overview, ingest, search, delivery, operator, backends]) {
  const built = dashboard.build();
  // Grafana would number them by itself, differently after each change.
  built.panels.forEach((panel, index) => (panel.id = index + 1));
  const file = new URL(`${built.uid.replace("imagesearch-", "")}.json`, folder);
  const text = JSON.stringify(built, null, 2) + "\n";
  if (!isCheck) writeFileSync(file, text);
  else if (read(file) !== text) stale.push(file.pathname.split("/").at(-1));
}
if (stale.length > 0) {
  console.error(`out of date in conf/grafana/dashboards: ${stale.join(", ")}; run \`make generate\``);
  process.exit(1);
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
