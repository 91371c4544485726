//! Tables in Markdown, so that they can be put into docs/performance.md as they are.

use std::{fs, process::Command, time::Duration};

use anyhow::Result;

/// Names the machine that the figures are of.
pub(crate) fn machine() -> Result<()> {
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory_kib: u64 = memory.split_whitespace().nth(1).unwrap_or_default().parse()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!(
        "{}, {} cores, {} GiB, Linux {}, {}\n",
        model.trim_start_matches([' ', '\t', ':']),
        std::thread::available_parallelism()?,
        memory_kib.div_ceil(1 << 20),
        kernel.trim(),
        &jiff::Timestamp::now().to_string()[..10],
    );
    Ok(())
}

/// A heading and the header of a table.
pub(crate) fn table(title: &str, columns: &[&str]) {
    println!("## {title}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

pub(crate) fn end() {
    println!();
}

/// The middle of several measurements; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that a share of all don't exceed.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// First line of what a program says of its version.
pub(crate) fn version_of(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}
