//! The metrics of the process. The `prometheus` crate has them as well, but reads and parses four files
//! for them, which takes longer than the rest of a compressed scrape.

use std::fs::{self, File};
use std::io::{self, Read};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Bytes of `/proc/self/stat` at most: 52 numbers and a name.
const MAX_STAT_BYTES: usize = 2048;

/// Collects the metrics of this process.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    open_files: Gauge,
    max_files: Gauge,
    virtual_memory: Gauge,
    resident_memory: Gauge,
    threads: Gauge,
    start_time: Gauge,
}

/// The fields of `/proc/self/stat` after the name of the program.
struct Stat(Vec<u64>);

impl Stat {
    // numbers of fields in proc(5)
    const USER_TIME: usize = 14;
    const SYSTEM_TIME: usize = 15;
    const THREADS: usize = 20;
    const START_TIME: usize = 22;
    const VIRTUAL_BYTES: usize = 23;
    const RESIDENT_PAGES: usize = 24;

    fn read() -> io::Result<Self> {
        let mut buffer = [0; MAX_STAT_BYTES];
        let length = File::open("/proc/self/stat")?.read(&mut buffer)?;
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        // the name may contain anything, but nothing after it has parentheses
        let (_, fields) = text.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
        // the state is a letter, and some fields are negative
        Ok(Self(fields.split(' ').map(|field| field.parse().unwrap_or_default()).collect()))
    }

    fn get(&self, number: usize) -> f64 {
        // the first two fields are those before
        let field = number.checked_sub(3).and_then(|index| self.0.get(index));
        field.copied().unwrap_or_default() as f64
    }

    fn cpu_seconds(&self) -> f64 {
        (self.get(Self::USER_TIME) + self.get(Self::SYSTEM_TIME)) / clock_ticks_per_second() as f64
    }
}

impl ProcessMetrics {
    pub(super) fn new() -> prometheus::Result<Self> {
        let metrics = Self {
            cpu: cpu_seconds()?,
            open_files: Gauge::new("process_open_fds", "Number of open file descriptors.")?,
            max_files: Gauge::new("process_max_fds", "Maximum number of open file descriptors.")?,
            virtual_memory: Gauge::new(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
            )?,
            resident_memory: Gauge::new(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            )?,
            threads: Gauge::new("process_threads", "Number of OS threads in the process.")?,
            start_time: Gauge::new(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
        };
        if let (Some(boot), Ok(stat)) = (boot_time(), Stat::read()) {
            let after_boot = stat.get(Stat::START_TIME) / clock_ticks_per_second() as f64;
            metrics.start_time.set(boot + after_boot.floor());
        }
        Ok(metrics)
    }

    fn gauges(&self) -> [&Gauge; 6] {
        [
            &self.open_files,
            &self.max_files,
            &self.virtual_memory,
            &self.resident_memory,
            &self.threads,
            &self.start_time,
        ]
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges().into_iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Ok(stat) = Stat::read() {
            // a counter can only be added to, which concurrent scrapes would do twice
            if let Ok(cpu) = cpu_seconds() {
                cpu.inc_by(stat.cpu_seconds());
                families.extend(cpu.collect());
            }
            self.virtual_memory.set(stat.get(Stat::VIRTUAL_BYTES));
            self.resident_memory.set(stat.get(Stat::RESIDENT_PAGES) * page_size() as f64);
            self.threads.set(stat.get(Stat::THREADS));
        }
        if let Ok(count) = open_files() {
            self.open_files.set(count as f64);
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.max_files.set(most as f64);
        }
        families.extend(self.gauges().into_iter().flat_map(Collector::collect));
        families
    }
}

fn cpu_seconds() -> prometheus::Result<Counter> {
    Counter::with_opts(Opts::new(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
    ))
}

/// The Unix time in seconds when the system started.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The number of open file descriptors.
fn open_files() -> io::Result<u64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER)?.len() {
        // before Linux 6.2; one of the entries is the folder itself
        0 => Ok((fs::read_dir(FOLDER)?.count() as u64).saturating_sub(1)),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    use super::*;

    fn value(metrics: &ProcessMetrics, name: &str) -> f64 {
        let families = metrics.collect();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metric = &family.get_metric()[0];
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }

    #[test]
    fn the_metrics_are_those_of_this_process() {
        let metrics = ProcessMetrics::new().unwrap();
        assert_eq!(metrics.desc().len(), metrics.collect().len());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = value(&metrics, "process_start_time_seconds");
        // the time of boot is rounded
        assert!(started > now - 3600.0 && started <= now + 1.0, "{started} {now}");
        assert!(value(&metrics, "process_threads") >= 2.0, "the test and its runner");
        let resident = value(&metrics, "process_resident_memory_bytes");
        assert!(resident > 1e6 && resident < value(&metrics, "process_virtual_memory_bytes"));
        let most = value(&metrics, "process_max_fds");
        assert!((3.0..=most).contains(&value(&metrics, "process_open_fds")), "{most}");
    }

    #[test]
    fn cpu_time_has_fractions_of_a_second() {
        let metrics = ProcessMetrics::new().unwrap();
        let begin = Instant::now();
        while value(&metrics, "process_cpu_seconds_total").fract() == 0.0 {
            assert!(begin.elapsed() < Duration::from_mins(1));
        }
    }
}
