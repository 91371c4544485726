//! `docs/metrics.md`.

use std::fmt::Write as _;

use super::definition::{Definition, Exposer, Label, Values};

const HEAD: &str = "\
# Metrics

Every process shows its metrics on `/metrics` of its admin port: in OpenMetrics with traces as exemplars to who asks for that,
as Prometheus does, and as plain text (0.0.4) to everybody else. A histogram is asked for by its name with `_bucket`, `_sum` or
`_count`. `imagesearch up` is ingestapi, ingestworker, searchapi and cdnapi in one. What each process sees alike (the queue, the
index) is to be taken once (`max`), the rest added up. [Monitoring](monitoring.md) tells what is made of them.

This page is written from the code by `make generate`.
";

/// The page of these metrics, in the order of their names.
pub fn markdown(definitions: &[&Definition]) -> String {
    let mut sorted: Vec<_> = definitions.iter().map(|definition| (definition.full_name(), definition)).collect();
    sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut page = String::from(HEAD);
    for (name, definition) in sorted {
        let unit = definition.unit.as_ref().map_or_else(String::new, |unit| format!(", {}", unit.as_str()));
        let exposers: Vec<_> = definition.exposed_by.iter().copied().map(Exposer::name).collect();
        // Writing into a String can't fail.
        let _ = write!(
            page,
            "\n## `{name}`\n{}{unit} · {}\n\n{}.\n",
            definition.kind.name(),
            exposers.join(", "),
            definition.help
        );
        if !definition.labels.is_empty() {
            page.push_str("\n| label | values |\n|---|---|\n");
        }
        for Label { name, values } in definition.labels {
            let values = match values {
                Values::Closed(values) => {
                    values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
                }
                Values::Bounded(words) => (*words).to_owned(),
            };
            let _ = writeln!(page, "| `{name}` | {values} |");
        }
    }
    page
}
