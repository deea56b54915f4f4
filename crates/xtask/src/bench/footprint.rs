//! What a cluster manager costs on one host while nothing happens.

use std::time::{Duration, Instant};

use quorate_lab::demo::Cluster;
use serde_json::{Value, json};

/// What the manager itself costs on one host.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Footprint {
    pub processes: usize,
    pub resident_mib: f64,
    pub proportional_mib: f64,
    pub cpu_percent: f64,
}

/// For how long the processor time is measured.
const AT_REST: Duration = Duration::from_secs(30);

/// Memory and processor time of the manager's own processes on the first server, over half a minute at rest.
pub(super) fn footprint(cluster: &dyn Cluster) -> Footprint {
    let host = cluster.servers()[0];
    let names = cluster.daemons().join("|");
    // A process's own agents and shells have other names; comm is cut at 15 characters.
    let script = "for p in /proc/[0-9]*; do n=$(basename \"$(readlink $p/exe)\" 2>/dev/null); \
                  echo \"$n\" | grep -qxE \"$1\" || continue; \
                  grep -q agent-supervise $p/cmdline 2>/dev/null && continue; \
                  echo $(awk '/^Rss:/{r=$2} /^Pss:/{s=$2} END{print r, s}' $p/smaps_rollup) \
                  $(cut -d')' -f2 $p/stat | awk '{print $12+$13}'); done";
    let read = || -> Vec<[f64; 3]> {
        let text = host
            .run(["sh", "-c", script, "footprint", &names])
            .unwrap_or_default();
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace().map(str::parse::<f64>);
                Some([
                    words.next()?.ok()?,
                    words.next()?.ok()?,
                    words.next()?.ok()?,
                ])
            })
            .collect()
    };
    let ticks = |list: &[[f64; 3]]| list.iter().map(|line| line[2]).sum::<f64>();
    let before = read();
    let begun = Instant::now();
    std::thread::sleep(AT_REST);
    let after = read();
    // Linux counts in hundredths of a second.
    let cpu_percent = (ticks(&after) - ticks(&before)).max(0.0) / begun.elapsed().as_secs_f64();
    Footprint {
        processes: after.len(),
        resident_mib: after.iter().map(|line| line[0]).sum::<f64>() / 1024.0,
        proportional_mib: after.iter().map(|line| line[1]).sum::<f64>() / 1024.0,
        cpu_percent,
    }
}

impl Footprint {
    pub fn json(self) -> Value {
        json!({
            "processes": self.processes,
            "resident_mib": self.resident_mib,
            "proportional_mib": self.proportional_mib,
            "cpu_percent": self.cpu_percent,
        })
    }
}
