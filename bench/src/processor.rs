//! Processor time of a process, of which a busy machine takes nothing away, and processors of its own.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

/// What the kernel counts in: `USER_HZ`, which is 100 wherever Linux runs on x86 or ARM.
const TICKS_PER_S: f64 = 100.0;
/// After the program's name: time in its own code, in the kernel for it, and both of children that have ended.
const TIMES: std::ops::Range<usize> = 11..15;

/// Seconds that a process and its ended children have taken so far.
pub(crate) fn seconds(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may have spaces; it ends with the last bracket.
    let (_, fields) = status.rsplit_once(')').context("a process without a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let times = fields.get(TIMES).context("a process without times")?;
    let ticks = times.iter().map(|time| Ok(time.parse::<u64>()?)).sum::<Result<u64>>()?;
    Ok(ticks as f64 / TICKS_PER_S)
}

/// Keeps all threads of a process, and those that they will start, on some processors: `0-2,4`.
pub(crate) fn keep_on(process: u32, processors: &str) -> Result<()> {
    let taskset = ["--all-tasks", "--cpu-list", "--pid", processors, &process.to_string()];
    let output = Command::new("taskset").args(taskset).output().context("cannot start taskset (util-linux)")?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
