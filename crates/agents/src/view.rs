//! A view of /usr/sbin in which our tools stand under the names that agents call.
//!
//! Agents find our tools through `PATH` and `HA_SBIN_DIR`. Some set `PATH` themselves or name a tool's full path
//! (docs/decisions/0050): for these the program gets a mount namespace of its own, where the tools' directory lies
//! over /usr/sbin. Nothing on the host changes, whether Pacemaker's own tools are installed there or not.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

/// The directory that agents which set `PATH` themselves look into.
pub(crate) const SYSTEM_TOOLS: &str = "/usr/sbin";

/// A script is read up to here.
const SCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// Where, in the farm of links, the host's own directory is.
const HOST: &str = ".host";

/// Whether the agent would miss our tools: it replaces `PATH`, or names one of them by its full path.
pub(crate) fn is_needed(agent: &Path, tools: &Path) -> bool {
    let Some(script) = read_script(agent) else {
        return false;
    };
    let names: Vec<String> = fs::read_dir(tools)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    script.lines().any(|line| misses_tools(line, &names))
}

fn read_script(agent: &Path) -> Option<String> {
    use io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(agent).ok()?;
    file.take(SCRIPT_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .ok()?;
    if !bytes.starts_with(b"#!") {
        return None;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn misses_tools(line: &str, names: &[String]) -> bool {
    let line = line.trim();
    if line.starts_with('#') {
        return false;
    }
    let assigned = line.strip_prefix("export ").unwrap_or(line).trim_start();
    if let Some(value) = assigned.strip_prefix("PATH=") {
        // What adds to the old value keeps ours.
        return !value.contains("$PATH") && !value.contains("${PATH");
    }
    names.iter().any(|name| {
        ["/usr/sbin/", "/sbin/"].iter().any(|directory| {
            line.match_indices(&format!("{directory}{name}"))
                .any(|(at, found)| {
                    let next = line[at + found.len()..].chars().next();
                    !next.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-')
                })
        })
    })
}

/// Gives the calling thread, and what it starts, the view. The thread must not do anything else afterwards.
///
/// What the host mounts and unmounts later reaches the view (a daemon that lives in it holds no disk that the host
/// let go); what is mounted inside stays inside.
pub(crate) fn enter(tools: &Path) -> io::Result<()> {
    unshare_mounts()?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    // File systems may be stacked twice only; on a host whose root is stacked already, links do.
    overlay(tools).or_else(|_| farm(tools))
}

#[expect(
    deprecated,
    reason = "its warning is about shared file descriptors, which NEWNS does not touch; the other one is unsafe"
)]
fn unshare_mounts() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNS)?)
}

/// Our directory over the host's, as one file system.
fn overlay(tools: &Path) -> io::Result<()> {
    let directory = tools.to_string_lossy();
    if directory.contains([':', ',', '\\']) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let layers = format!("lowerdir={directory}:{SYSTEM_TOOLS}");
    let layers = std::ffi::CString::new(layers)?;
    rustix::mount::mount(
        "quorate-tools",
        SYSTEM_TOOLS,
        "overlay",
        MountFlags::empty(),
        layers.as_c_str(),
    )?;
    Ok(())
}

/// A directory of links: our tools, and for every other name the host's own program.
fn farm(tools: &Path) -> io::Result<()> {
    let mut links = Vec::new();
    for entry in fs::read_dir(tools)? {
        let entry = entry?;
        let to = fs::read_link(entry.path()).unwrap_or_else(|_| entry.path());
        links.push((entry.file_name(), to));
    }
    let host: Vec<_> = fs::read_dir(SYSTEM_TOOLS)?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    rustix::mount::mount("quorate-tools", tools, "tmpfs", MountFlags::empty(), None)?;
    let below = tools.join(HOST);
    fs::create_dir(&below)?;
    rustix::mount::mount_bind(SYSTEM_TOOLS, &below)?;
    for (name, to) in &links {
        // A link through the directory that is about to be covered would end at itself.
        let to = match to.strip_prefix(SYSTEM_TOOLS) {
            Ok(rest) => Path::new(HOST).join(rest),
            Err(_) => to.clone(),
        };
        symlink(to, tools.join(name))?;
    }
    for name in host {
        if !links.iter().any(|(ours, _)| *ours == name) {
            symlink(Path::new(HOST).join(&name), tools.join(&name))?;
        }
    }
    rustix::mount::mount_bind_recursive(tools, SYSTEM_TOOLS)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_needs_the_view() {
        let names = vec!["crm_attribute".to_owned(), "crm_master".to_owned()];
        for (line, expected) in [
            ("PATH=/sbin:/usr/sbin:/bin:/usr/bin", true),
            ("  export PATH=/usr/bin", true),
            ("PATH=\"$OCF_RESKEY_home/bin:$PATH\"", false),
            ("PATH=/opt/bin:${PATH}", false),
            ("# PATH=/usr/bin", false),
            ("WASPATH=/usr/bin", false),
            ("TOOL=/usr/sbin/crm_attribute", true),
            ("/usr/sbin/crm_master -v 1", true),
            ("/usr/sbin/crm_mastership", false),
            ("crm_attribute -N n1", false),
        ] {
            assert_eq!(misses_tools(line, &names), expected, "{line}");
        }
    }

    /// What `sh -c SCRIPT` prints inside the view that `make` gives.
    fn inside(make: impl FnOnce() -> io::Result<()> + Send + 'static, script: &str) -> String {
        let script = script.to_owned();
        let thread = std::thread::spawn(move || {
            make().expect("root may make the view");
            let output = Command::new("/bin/sh")
                .args(["-c", &script])
                .env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
                .output()
                .expect("sh runs");
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        thread.join().expect("no panic")
    }

    #[test]
    fn the_view_has_our_tools_and_the_hosts_programs() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: the_view_has_our_tools_and_the_hosts_programs: not root");
            return;
        }
        let directory =
            std::env::temp_dir().join(format!("quorate-view-test-{}", std::process::id()));
        let tools = directory.join("tools");
        fs::create_dir_all(&tools).unwrap();
        let program = directory.join("program");
        fs::write(&program, "#!/bin/sh\necho ours ${0##*/}\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        // One that Pacemaker's package may have put there, too, and one that is nowhere else.
        for name in ["crm_attribute", "quorate-test-tool"] {
            symlink(&program, tools.join(name)).unwrap();
        }
        let script = "crm_attribute; quorate-test-tool; /usr/sbin/crm_attribute; \
                      test -x /usr/sbin/useradd && echo host";
        let expected = "ours crm_attribute\nours quorate-test-tool\nours crm_attribute\nhost\n";
        let both = tools.clone();
        assert_eq!(inside(move || enter(&both), script), expected);
        let links = tools.clone();
        let made = move || {
            unshare_mounts()?;
            rustix::mount::mount_change(
                "/",
                MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
            )?;
            farm(&links)
        };
        assert_eq!(inside(made, script), expected);
        assert!(!Path::new("/usr/sbin/quorate-test-tool").exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
