//! Supervisor of one agent run, as a program of its own (tests use it; the daemon calls itself instead).

fn main() {
    let code = match std::env::args_os().nth(1) {
        Some(directory) => quorate_agents::supervise(directory.into()),
        None => 2,
    };
    std::process::exit(code);
}
