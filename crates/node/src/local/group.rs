//! Who belongs to the group that may use the socket, from `/etc/group` and `/etc/passwd`.

/// The group whose members may administer the cluster.
pub const GROUP: &str = "quorate";

/// The number of the group, if the host has it.
pub fn number() -> Option<u32> {
    line(GROUP)?.split(':').nth(2)?.parse().ok()
}

/// Whether a user is in the group, by its own group or by being listed.
pub fn has(uid: u32, gid: u32) -> bool {
    let Some(line) = line(GROUP) else {
        return false;
    };
    let mut fields = line.split(':').skip(2);
    let number = fields.next().and_then(|n| n.parse::<u32>().ok());
    let members = fields.next().unwrap_or_default();
    number == Some(gid)
        || user(uid).is_some_and(|name| members.split(',').any(|member| member == name))
}

fn line(group: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/group").ok()?;
    text.lines()
        .find(|l| l.split(':').next() == Some(group))
        .map(str::to_owned)
}

fn user(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let wanted = uid.to_string();
    text.lines()
        .find(|l| l.split(':').nth(2) == Some(&wanted))
        .and_then(|l| l.split(':').next())
        .map(str::to_owned)
}
