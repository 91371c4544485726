//! Memory, processor time and open files of this process, named as Prometheus' client libraries name them:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use std::fs;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// Linux gives processor time in hundredths of a second to programs, whatever the kernel's own tick is (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` whenever metrics are asked for. What can't be read is left out.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            let metric = ConstGauge::new(bytes);
            let help = "Resident memory size";
            let memory =
                encoder.encode_descriptor("process_resident_memory", help, Some(&Unit::Bytes), metric.metric_type())?;
            metric.encode(memory)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let metric = ConstCounter::new(seconds);
            let help = "User and system processor time spent";
            let time = encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), metric.metric_type())?;
            metric.encode(time)?;
        }
        if let Some(open) = open_files() {
            let metric = ConstGauge::new(open);
            let files =
                encoder.encode_descriptor("process_open_fds", "Open file descriptors", None, metric.metric_type())?;
            metric.encode(files)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<i64>().ok()? * 1024)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may itself contain spaces; user and system time
    // are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / TICKS_PER_SECOND)
}

fn open_files() -> Option<i64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_time_and_files() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
        assert!(open_files().is_some_and(|open| open >= 3));
    }
}
