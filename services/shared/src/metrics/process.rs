//! Memory, processor time and open files of this process, named as Prometheus' client libraries name them:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.

use std::fs;

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::definition::{Collecting, Definition, Exposer, Kind};

/// Linux gives processor time in hundredths of a second to programs, whatever the kernel's own tick is (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` whenever metrics are asked for. What can't be read is left out.
#[derive(Debug)]
pub(crate) struct ProcessCollector;

const fn of_process(name: &'static str, kind: Kind, unit: Option<Unit>, help: &'static str) -> Definition {
    Definition { name, kind, unit, labels: &[], help, exposed_by: Exposer::EVERYBODY }
}

static RESIDENT: Definition =
    of_process("process_resident_memory", Kind::Gauge, Some(Unit::Bytes), "Resident memory size");
static PROCESSOR: Definition =
    of_process("process_cpu", Kind::Counter, Some(Unit::Seconds), "User and system processor time spent");
static OPEN_FILES: Definition = of_process("process_open_fds", Kind::Gauge, None, "Open file descriptors");
static MOST_FILES: Definition =
    of_process("process_max_fds", Kind::Gauge, None, "File descriptors that may be open at most");
static THREADS: Definition = of_process("process_threads", Kind::Gauge, None, "Threads of the operating system");
static STARTED: Definition = of_process(
    "process_start_time",
    Kind::Gauge,
    Some(Unit::Seconds),
    "When the process was started, since the Unix epoch",
);

impl Collecting for ProcessCollector {
    fn definitions() -> Vec<&'static Definition> {
        vec![&RESIDENT, &PROCESSOR, &OPEN_FILES, &MOST_FILES, &THREADS, &STARTED]
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            RESIDENT.encode(&mut encoder, &ConstGauge::new(bytes))?;
        }
        if let Some(open) = open_files() {
            OPEN_FILES.encode(&mut encoder, &ConstGauge::new(open))?;
        }
        if let Some(most) = most_files() {
            MOST_FILES.encode(&mut encoder, &ConstGauge::new(most))?;
        }
        let Some(stat) = Stat::read() else { return Ok(()) };
        PROCESSOR.encode(&mut encoder, &ConstCounter::new(stat.processor_s))?;
        THREADS.encode(&mut encoder, &ConstGauge::new(stat.threads))?;
        if let Some(booted) = booted_s() {
            STARTED.encode(&mut encoder, &ConstGauge::new(booted + stat.started_after_boot_s))?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kib.parse::<i64>().ok()? * 1024)
}

fn open_files() -> Option<i64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as i64)
}

/// None where there is no limit.
fn most_files() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

/// What `/proc/self/stat` says.
struct Stat {
    processor_s: f64,
    threads: i64,
    started_after_boot_s: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the program's name in parentheses, which may itself contain spaces; proc(5) counts from 1.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            processor_s: (field(14)? + field(15)?) as f64 / TICKS_PER_SECOND,
            threads: field(20)? as i64,
            started_after_boot_s: field(22)? as f64 / TICKS_PER_SECOND,
        })
    }
}

/// When the machine was started, in seconds since the Unix epoch.
fn booted_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn this_process_has_memory_time_files_and_a_start() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(open_files().is_some_and(|open| open >= 3 && most_files().is_none_or(|most| most >= open)));
        let stat = Stat::read().expect("/proc/self/stat");
        assert!(stat.processor_s >= 0.0 && stat.threads >= 1);
        let started = booted_s().expect("/proc/stat") + stat.started_after_boot_s;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        assert!((now - 3600.0..now + 2.0).contains(&started), "{started} is not just before {now}");
    }
}
