use super::{decimal, lines, number, pair, words};

/// The states of a CPU: `user`, `system`, and so on, as attributes and by their place in `/proc/stat`.
pub(crate) const STATES: [(&str, usize); 8] = [
    ("user", 0),
    ("system", 2),
    ("idle", 3),
    ("interrupt", 5),
    ("nice", 1),
    ("softirq", 6),
    ("steal", 7),
    ("wait", 4),
];

/// The ticks of one CPU: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest nice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTimes {
    /// For example `cpu0`.
    pub(crate) name: String,
    pub(crate) ticks: [u64; 10],
}

impl CpuTimes {
    /// All ticks. Those of guests count twice, as they are in user time already: so it is in otelcol.
    pub(crate) fn total(&self) -> u64 {
        self.ticks.iter().fold(0, |sum, ticks| sum.wrapping_add(*ticks))
    }
}

/// `/proc/stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelStat {
    pub(crate) cpus: Vec<CpuTimes>,
    /// When the host started, in Unix seconds.
    pub(crate) boot_time: Option<u64>,
    pub(crate) processes_created: u64,
    pub(crate) running: u64,
    pub(crate) blocked: u64,
}

impl KernelStat {
    pub(crate) fn parse(bytes: &[u8]) -> KernelStat {
        let mut stat = KernelStat::default();
        for line in lines(bytes) {
            let mut words = words(line);
            let Some(key) = words.next() else { continue };
            if key.len() > 3 && key.starts_with(b"cpu") && key[3..].iter().all(u8::is_ascii_digit) {
                let mut cpu =
                    CpuTimes { name: String::from_utf8_lossy(key).into_owned(), ..CpuTimes::default() };
                // Old kernels have fewer states.
                for (ticks, word) in cpu.ticks.iter_mut().zip(words) {
                    *ticks = number(word).unwrap_or(0);
                }
                stat.cpus.push(cpu);
                continue;
            }
            let value = words.next().and_then(number);
            match key {
                b"btime" => stat.boot_time = value,
                b"processes" => stat.processes_created = value.unwrap_or(0),
                b"procs_running" => stat.running = value.unwrap_or(0),
                b"procs_blocked" => stat.blocked = value.unwrap_or(0),
                _ => {}
            }
        }
        stat
    }
}

/// Frequencies in `/proc/cpuinfo`: the number of a CPU, and hertz.
pub(crate) struct Frequencies;

impl Frequencies {
    pub(crate) fn parse(bytes: &[u8]) -> Vec<(u64, f64)> {
        let mut found = Vec::new();
        let mut cpu = None;
        for (key, value) in lines(bytes).filter_map(pair) {
            match key {
                b"processor" => cpu = number(value),
                b"cpu MHz" => found.extend(cpu.zip(decimal(value)).map(|(cpu, mhz)| (cpu, mhz * 1e6))),
                _ => {}
            }
        }
        found
    }
}

/// How many CPUs `/proc/cpuinfo` lists.
pub(crate) fn logical_cpus(cpuinfo: &[u8]) -> u64 {
    let is_cpu =
        |line: &&[u8]| pair(line).is_some_and(|(key, value)| key == b"processor" && number(value).is_some());
    lines(cpuinfo).filter(is_cpu).count() as u64
}

/// How many cores `/proc/cpuinfo` says that its packages have, for hosts that tell nothing of them in `/sys`.
pub(crate) fn physical_cpus(cpuinfo: &[u8]) -> u64 {
    let mut packages: Vec<(u64, u64)> = Vec::new();
    let mut package = None;
    for (key, value) in lines(cpuinfo).filter_map(pair) {
        match key {
            b"processor" => package = None,
            b"physical id" => package = number(value),
            b"cpu cores" => {
                let Some((id, cores)) = package.zip(number(value)) else { continue };
                match packages.iter_mut().find(|known| known.0 == id) {
                    Some(known) => known.1 = cores,
                    None => packages.push((id, cores)),
                }
            }
            _ => {}
        }
    }
    packages.iter().map(|(_, cores)| cores).sum()
}

/// `/proc/loadavg`: over 1, 5 and 15 minutes.
pub(crate) fn load_averages(bytes: &[u8]) -> Option<[f64; 3]> {
    let mut words = words(bytes).map(decimal);
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_statistics_of_new_and_old_kernels() {
        let stat = KernelStat::parse(
            b"cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4\nintr 5 6 7\nctxt 8\nbtime 1700000000\nprocesses 77\nprocs_running 3\nprocs_blocked 1\nsoftirq 1 2\n",
        );
        let names: Vec<&str> = stat.cpus.iter().map(|cpu| cpu.name.as_str()).collect();
        assert_eq!(names, ["cpu0", "cpu1"]);
        assert_eq!(stat.cpus[0].total(), 55);
        assert_eq!(stat.cpus[1].ticks, [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(stat.boot_time, Some(1_700_000_000));
        assert_eq!((stat.processes_created, stat.running, stat.blocked), (77, 3, 1));
        assert_eq!(KernelStat::parse(b"cpux 1\ncpu0 x\nbtime\n").cpus[0].ticks, [0; 10]);
    }

    #[test]
    fn cpus_are_counted_by_thread_and_by_core() {
        let info = b"processor\t: 0\ncpu MHz\t\t: 2400.5\nphysical id\t: 0\ncpu cores\t: 4\n\nprocessor\t: 1\ncpu MHz\t\t: 800\nphysical id\t: 0\ncpu cores\t: 4\n\nprocessor\t: 2\nphysical id\t: 1\ncpu cores\t: 4\n";
        assert_eq!((logical_cpus(info), physical_cpus(info)), (3, 8));
        assert_eq!(Frequencies::parse(info), [(0, 2_400_500_000.0), (1, 800e6)]);
        assert_eq!((logical_cpus(b"CPU architecture: 8\n"), physical_cpus(b"")), (0, 0));
    }

    #[test]
    fn load_averages_are_three_numbers() {
        assert_eq!(load_averages(b"0.50 1.25 2.00 3/456 789\n"), Some([0.5, 1.25, 2.0]));
        assert_eq!(load_averages(b"0.50 x 2.00\n"), None);
        assert_eq!(load_averages(b""), None);
    }
}
