//! Runs one program to its end, its timeout or its cancellation, and keeps what it said.
//!
//! Synchronous on purpose: it is the whole life of the supervisor process, and what `metadata` needs.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open};

use crate::bounded::Bounded;
use crate::processes::{self, ProcessId};
use crate::view;

/// How much of a program's output is kept.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// What an agent's last `ocf-exit-reason:` line begins with.
const EXIT_REASON: &str = "ocf-exit-reason:";

/// A program with all that it gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Invocation {
    /// Absolute path.
    #[n(0)]
    pub program: String,
    /// Arguments after the program's name.
    #[n(1)]
    pub arguments: Vec<String>,
    /// The whole environment.
    #[n(2)]
    pub environment: Vec<(String, String)>,
    /// Standard input.
    #[n(3)]
    pub input: String,
    /// Milliseconds it may take.
    #[n(4)]
    pub timeout_ms: u64,
    /// Bytes of output that are kept.
    #[n(5)]
    pub output_bytes_max: u64,
    /// Our tools, where they must lie over /usr/sbin for this program (see `view`); else empty.
    #[n(6)]
    #[cbor(default)]
    pub tools_view: String,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Ended {
    /// By itself, with this code.
    #[n(0)]
    Exited(#[n(0)] i32),
    /// By a signal that was not ours.
    #[n(1)]
    Signaled(#[n(0)] i32),
    /// Killed after its timeout.
    #[n(2)]
    TimedOut,
    /// Killed on request.
    #[n(3)]
    Cancelled,
    /// It could not be started: why.
    #[n(4)]
    NotRun(#[n(0)] String),
    /// Its supervisor was killed: nobody knows.
    #[n(5)]
    Lost,
}

/// All that is known of a program that ended.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Finished {
    /// How.
    #[n(0)]
    pub ended: Ended,
    /// Standard output, bounded.
    #[n(1)]
    pub stdout: String,
    /// Standard output and error in the order they came, bounded.
    #[n(2)]
    pub output: String,
    /// The last `ocf-exit-reason:` line.
    #[n(3)]
    pub exit_reason: Option<String>,
    /// Milliseconds it took.
    #[n(4)]
    pub took_ms: u64,
    /// Processes it left behind (only known where this process is their subreaper).
    #[n(5)]
    pub left: Vec<ProcessId>,
    /// Processes that did not die when killed (uninterruptible sleep).
    #[n(6)]
    pub unkillable: u64,
}

/// Who else is responsible for the program's descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaping {
    /// This process has other children: only the program's process group is ours.
    Group,
    /// This process is a supervisor: every child and orphan is the program's.
    Everything,
}

/// Finds the last exit reason in a stream of lines, wherever it stands in megabytes of others.
#[derive(Default)]
struct ReasonFinder {
    line: Vec<u8>,
    found: Option<String>,
}

impl ReasonFinder {
    const LINE_BYTES_MAX: usize = 1024;

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < Self::LINE_BYTES_MAX {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if let Some(reason) = line.strip_prefix(EXIT_REASON) {
            self.found = Some(reason.trim().to_owned());
        }
        self.line.clear();
    }

    fn finish(mut self) -> Option<String> {
        self.end_line();
        self.found
    }
}

/// The streams of a running program.
struct Streams {
    child: Child,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    stdin: Option<std::process::ChildStdin>,
    input: Vec<u8>,
    kept_stdout: Bounded,
    kept_all: Bounded,
    reason: ReasonFinder,
}

/// Reads what is there without waiting, at most `pieces` of 64 KiB. `false` at the end of the stream.
fn read_available(from: &mut impl Read, pieces: u32, mut take: impl FnMut(&[u8])) -> bool {
    let mut buffer = [0_u8; 64 * 1024];
    for _ in 0..pieces {
        match from.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => take(&buffer[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
    true
}

impl Streams {
    fn new(mut child: Child, invocation: &Invocation) -> Self {
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let stdin = child.stdin.take();
        for fd in [
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
            stdin.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            // Fails for no open pipe.
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        let keep = usize::try_from(invocation.output_bytes_max)
            .unwrap_or(OUTPUT_BYTES_MAX)
            .max(256);
        Self {
            child,
            stdout,
            stderr,
            stdin,
            input: invocation.input.clone().into_bytes(),
            kept_stdout: Bounded::new(keep),
            kept_all: Bounded::new(keep),
            reason: ReasonFinder::default(),
        }
    }

    fn read(&mut self, pieces: u32) {
        let Self {
            stdout,
            stderr,
            kept_stdout,
            kept_all,
            reason,
            ..
        } = self;
        if let Some(pipe) = stdout
            && !read_available(pipe, pieces, |bytes| {
                kept_stdout.push(bytes);
                kept_all.push(bytes);
            })
        {
            *stdout = None;
        }
        if let Some(pipe) = stderr
            && !read_available(pipe, pieces, |bytes| {
                reason.push(bytes);
                kept_all.push(bytes);
            })
        {
            *stderr = None;
        }
    }

    fn write_input(&mut self) {
        let Some(pipe) = &mut self.stdin else { return };
        if !self.input.is_empty() {
            match pipe.write(&self.input) {
                Ok(n) => {
                    self.input.drain(..n);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // It does not want its input; that is its right.
                Err(_) => self.input.clear(),
            }
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }
}

/// What made the wait end.
enum Woken {
    Exited,
    Deadline,
    Cancelled,
}

fn wait_for_end(
    streams: &mut Streams,
    pidfd: BorrowedFd<'_>,
    deadline: Instant,
    cancel: Option<BorrowedFd<'_>>,
) -> Woken {
    loop {
        streams.write_input();
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let (exited, cancelled, expired) = {
            let mut fds = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            if let Some(cancel) = cancel {
                fds.push(PollFd::from_borrowed_fd(cancel, PollFlags::IN));
            }
            if let Some(pipe) = &streams.stdout {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            if let Some(pipe) = &streams.stderr {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            if let Some(pipe) = &streams.stdin {
                fds.push(PollFd::new(pipe, PollFlags::OUT));
            }
            let ready = poll(&mut fds, Some(&timeout));
            (
                fds[0].revents().contains(PollFlags::IN),
                cancel.is_some() && fds[1].revents().contains(PollFlags::IN),
                ready == Ok(0),
            )
        };
        streams.read(4);
        if exited {
            return Woken::Exited;
        }
        if cancelled {
            return Woken::Cancelled;
        }
        if expired || deadline <= Instant::now() {
            return Woken::Deadline;
        }
    }
}

/// Reaps every child as it ends (agents wait for orphans with `kill -0`, which a zombie answers), and tells how
/// the program itself ended.
fn reap_everything(program: Pid) -> mpsc::Receiver<ExitStatus> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == program => {
                    if tell.send(ExitStatus::from_raw(status.as_raw())).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // No child at present; a new orphan may come as long as the program runs.
                Err(_) => return,
            }
        }
    });
    told
}

/// Says in one sentence why a program could not be started.
fn why_not_run(program: &str, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if Path::new(program).exists() => format!(
            "{program} cannot be run: the interpreter named in its first line does not exist"
        ),
        std::io::ErrorKind::NotFound => format!("{program} does not exist"),
        std::io::ErrorKind::PermissionDenied => format!(
            "{program} is not executable (chmod +x {program}, and no `noexec` on its file system)"
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            format!("{program} is no program: it has no `#!` line and is no binary")
        }
        _ => format!("{program} cannot be run: {error}"),
    }
}

fn spawn(invocation: &Invocation) -> std::io::Result<Child> {
    if invocation.tools_view.is_empty() {
        return spawn_here(invocation);
    }
    // A namespace belongs to a thread, and the program inherits that of the thread which starts it.
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            view::enter(Path::new(&invocation.tools_view)).map_err(|error| {
                let text = format!("no view of {} with our tools: {error}", view::SYSTEM_TOOLS);
                std::io::Error::new(error.kind(), text)
            })?;
            spawn_here(invocation)
        });
        started
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn spawn_here(invocation: &Invocation) -> std::io::Result<Child> {
    let input = if invocation.input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    Command::new(PathBuf::from(&invocation.program))
        .args(&invocation.arguments)
        .env_clear()
        .envs(invocation.environment.iter().map(|(k, v)| (k, v)))
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Runs the program. `cancel` becomes readable when it shall be killed.
#[must_use]
pub fn execute(
    invocation: &Invocation,
    reaping: Reaping,
    cancel: Option<BorrowedFd<'_>>,
) -> Finished {
    let began = Instant::now();
    let nothing = |ended| Finished {
        ended,
        stdout: String::new(),
        output: String::new(),
        exit_reason: None,
        took_ms: elapsed_ms(began),
        left: Vec::new(),
        unkillable: 0,
    };
    let child = match spawn(invocation) {
        Ok(child) => child,
        Err(error) => return nothing(Ended::NotRun(why_not_run(&invocation.program, &error))),
    };
    let pid = Pid::from_child(&child);
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(error) => {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            return nothing(Ended::NotRun(format!("this kernel has no pidfd: {error}")));
        }
    };
    let told = (reaping == Reaping::Everything).then(|| reap_everything(pid));
    let mut streams = Streams::new(child, invocation);
    let deadline = began + Duration::from_millis(invocation.timeout_ms);
    let woken = wait_for_end(&mut streams, pidfd.as_fd(), deadline, cancel);
    let mut unkillable = 0;
    if !matches!(woken, Woken::Exited) {
        unkillable = kill_all(pid, reaping);
    }
    let status = match &told {
        Some(told) => told.recv_timeout(Duration::from_secs(1)).ok(),
        None if unkillable == 0 => streams.child.wait().ok(),
        None => streams.child.try_wait().ok().flatten(),
    };
    // What a program that goes on in the background still writes is not ours to wait for.
    streams.read(16);
    let ended = match (woken, status) {
        (Woken::Deadline, _) => Ended::TimedOut,
        (Woken::Cancelled, _) => Ended::Cancelled,
        (Woken::Exited, Some(status)) => match status.code() {
            Some(code) => Ended::Exited(code),
            None => Ended::Signaled(status.signal().unwrap_or(0)),
        },
        (Woken::Exited, None) => Ended::Signaled(0),
    };
    Finished {
        ended,
        stdout: streams.kept_stdout.text(),
        output: streams.kept_all.text(),
        exit_reason: streams.reason.finish(),
        took_ms: elapsed_ms(began),
        left: match reaping {
            Reaping::Everything => processes::descendants(&[own_pid()])
                .into_iter()
                .map(|stat| stat.id)
                .collect(),
            Reaping::Group => Vec::new(),
        },
        unkillable,
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Kills the program and what belongs to it; how many are still there after a second (in the kernel's hands).
fn kill_all(program: Pid, reaping: Reaping) -> u64 {
    // The group may be gone already.
    let _ = rustix::process::kill_process_group(program, Signal::KILL);
    match reaping {
        Reaping::Group => 0,
        Reaping::Everything => processes::kill_descendants(own_pid(), 500) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout_ms: u64) -> Invocation {
        Invocation {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            timeout_ms,
            output_bytes_max: OUTPUT_BYTES_MAX as u64,
            ..Invocation::default()
        }
    }

    #[test]
    fn exit_code_streams_and_reason() {
        let script = "echo out; echo 'ocf-exit-reason:first' >&2; echo 'ocf-exit-reason: the disk is gone' >&2; exit 5";
        let end = execute(&shell(script, 60_000), Reaping::Group, None);
        assert_eq!(end.ended, Ended::Exited(5));
        assert_eq!(end.stdout, "out\n");
        assert_eq!(end.exit_reason.as_deref(), Some("the disk is gone"));
    }

    #[test]
    fn input_reaches_it() {
        let mut call = shell("cat", 60_000);
        call.input = "action=off\n".repeat(20_000);
        let end = execute(&call, Reaping::Group, None);
        assert_eq!(end.ended, Ended::Exited(0));
        assert!(end.stdout.starts_with("action=off\naction=off\n"));
    }

    #[test]
    fn a_timeout_kills_the_group() {
        let end = execute(&shell("sleep 100 & sleep 100", 100), Reaping::Group, None);
        assert_eq!(end.ended, Ended::TimedOut);
        assert!(end.took_ms < 60_000, "{}", end.took_ms);
    }

    #[test]
    fn megabytes_do_not_stall() {
        let script = "dd if=/dev/zero bs=64k count=64 2>/dev/null | tr '\\0' x >&2; echo 'ocf-exit-reason:full' >&2; exit 1";
        let end = execute(&shell(script, 60_000), Reaping::Group, None);
        assert_eq!(end.ended, Ended::Exited(1));
        assert!(end.output.len() < OUTPUT_BYTES_MAX + 100);
        // The reason stands at the end of one endless line: it is part of it, not a line of its own.
        assert!(end.output.contains("bytes not kept"));
    }

    #[test]
    fn a_background_process_with_our_pipe_does_not_hold_us() {
        let end = execute(&shell("sleep 25 & exit 0", 80_000), Reaping::Group, None);
        assert_eq!(end.ended, Ended::Exited(0));
        assert!(end.took_ms < 20_000, "{}", end.took_ms);
    }

    #[test]
    fn missing_program() {
        let mut call = shell("", 100);
        call.program = "/nonexistent/agent".into();
        let end = execute(&call, Reaping::Group, None);
        assert_eq!(
            end.ended,
            Ended::NotRun("/nonexistent/agent does not exist".into())
        );
    }
}
