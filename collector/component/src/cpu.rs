//! CPU time of processes, as the kernel counts it, and the cores that there are for it.

use std::time::Duration;

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// User and system time of this process so far, all threads that have ended included.
pub fn own_time() -> Option<Duration> {
    time_in(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// The same of another process; none where it has ended.
pub fn time_of(process: u32) -> Option<Duration> {
    time_in(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Ticks are hundredths of a second wherever Linux runs (`USER_HZ`).
fn time_in(stat: &str) -> Option<Duration> {
    // The name of the command is in parentheses and may contain anything.
    let after = &stat[stat.rfind(')')? + 1..];
    let mut fields = after.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis(user.saturating_add(system).saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_was_used() {
        assert!(own_time().is_some() && cores() > 0);
        assert!(time_of(std::process::id()) >= own_time().filter(|time| time.is_zero()));
        assert_eq!(time_of(u32::MAX), None, "there is no such process");
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 51 0 0 20 0 1 0 100 1000 10";
        assert_eq!(time_in(stat), Some(Duration::from_millis(3_010)));
        assert_eq!(time_in("7 (a) S 1"), None);
    }
}
