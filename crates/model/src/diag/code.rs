//! The rules that findings name, each with its explanation.

use super::Severity;

macro_rules! codes {
    ($($variant:ident, $name:literal, $severity:ident, $explanation:literal;)*) => {
        /// Which rule made a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $explanation] $variant,)*
        }

        impl Code {
            /// Every rule.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The name that users see and give to `check --explain`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// What the rule is about.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$variant => $explanation,)* }
            }

            /// How much a finding of the rule weighs unless the finder says otherwise.
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)* }
            }
        }
    };
}

impl Code {
    /// The rule of that name.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

codes! {
    // The language.
    Syntax, "syntax", Error, "The statement is not formed as the crm language asks. The caret marks the first word that does not fit.";
    UnknownStatement, "unknown-statement", Error, "The first word of a statement says what it defines (node, primitive, group, location ...). This one is none of them. Configuration files hold statements only, no shell commands.";
    UnknownSection, "unknown-section", Error, "A word that looks like a misspelt section (params, meta, op, utilization, operations) would silently become a parameter without a value.";
    DuplicateId, "duplicate-id", Error, "Two objects of one name: references to it would be ambiguous, so the second is refused.";
    BadId, "bad-id", Error, "Names of resources and constraints are XML ids: a letter or underscore first, then letters, digits, '-', '_' and '.'.";
    BadScore, "bad-score", Error, "A score is a whole number, inf or -inf.";
    BadRole, "bad-role", Error, "Roles are Started, Stopped, Promoted (Master) and Unpromoted (Slave).";
    BadRule, "bad-rule", Error, "A rule compares node attributes, dates or versions; comparisons are joined by 'and' or by 'or', never by both in one rule.";
    BadSet, "bad-set", Error, "Resource sets are written in ( ) for members in any order, in [ ] when one active member is enough; brackets do not nest and must close.";
    UnclosedQuote, "unclosed-quote", Error, "A quotation mark is opened and not closed before the statement ends.";
    Continuation, "continuation", Warning, "A backslash continues a statement only as the very last character of its line.";
    TooLarge, "too-large", Error, "The text exceeds a bound of the reader (size, statements, words, nesting). The bounds exist so that no input can exhaust memory or stack.";
    BadXml, "bad-xml", Error, "The XML is not well formed or not a part of a cluster configuration.";
    UpgradedForm, "upgraded-form", Note, "The XML has a form of an older schema. It is read, means what it meant, and is written back in today's form.";
    NotKept, "not-kept", Warning, "An element or attribute of the XML is a part of no schema that is known here. It is not kept: what it was meant to do will not happen.";
    DeprecatedWord, "deprecated-word", Note, "The spelling is accepted and means the same; a newer one exists.";
    // References.
    UndefinedMember, "undefined-member", Error, "A group, clone or bundle names a resource that no statement defines. crmsh drops such a member with a message and loads the rest; the group then runs without it and nobody notices until the service is needed. Define it or remove it (check --fix removes it).";
    UndefinedReference, "undefined-reference", Error, "A constraint, tag, fencing level or access rule names something that no statement defines; it would have no effect.";
    UndefinedTemplate, "undefined-template", Error, "The primitive inherits from a template that no statement defines.";
    UndefinedIdRef, "undefined-id-ref", Error, "An $id-ref or @reference names an attribute set, rule, operation list or pair that does not exist.";
    MemberTwice, "member-twice", Error, "A resource can be in one group or clone only, once.";
    WrongMember, "wrong-member", Error, "Groups hold primitives; clones hold one primitive or group; bundles hold one primitive.";
    ConstraintOnMember, "constraint-on-member", Warning, "The constraint names a member of a group or clone. It then binds that member only and drags or splits the group; usually the group or clone is meant.";
    // Nodes.
    UnknownNode, "unknown-node", Error, "The name is not one of the configured nodes. The constraint would never apply: a fence device meant to stay off the node that it powers off may then run exactly there.";
    NodeCase, "node-case", Warning, "Node names are host names and compared without regard to case here, but the name written is not the one of the node statement. Other tools compare exactly.";
    // Values.
    Placeholder, "placeholder", Error, "The value still is the placeholder of a documentation, not a value of this site.";
    MaskedValue, "masked-value", Error, "The value was masked when the text was published (****, XX...); it is not the real one.";
    PasswordInClear, "password-in-clear", Warning, "Whoever may read the configuration, a backup of it or a support bundle reads the password. Prefer a file that only root reads (a *_file or *_script parameter of the agent) where the agent has one.";
    UnknownOption, "unknown-option", Warning, "No such cluster option is known; it would be stored and ignored. Options are case-sensitive.";
    UnknownMeta, "unknown-meta", Warning, "No such meta attribute is known; it would be stored and ignored.";
    UnknownOpAttribute, "unknown-op-attribute", Warning, "No such attribute of an operation is known. It is passed to the agent as a parameter of the operation.";
    BadValue, "bad-value", Error, "The value is not of the kind that the option takes.";
    StraySpace, "stray-space", Note, "The value begins or ends with white space, which agents pass on as it is.";
    RenamedOption, "renamed-option", Note, "The option has a newer name; both are accepted and mean the same.";
    // Protection.
    FencingUndecided, "fencing-undecided", Warning, "Nothing says whether failed nodes are fenced. The default is yes, but whoever reads the configuration cannot tell whether that was meant. Without fencing a node that is merely unreachable may still write to shared data.";
    FencingOff, "fencing-off", Warning, "Fencing is switched off: after a lost contact a resource may run twice, which destroys shared data.";
    NoFenceDevice, "no-fence-device", Error, "Fencing is required, but no device is configured: after a failure everything of the lost node stays blocked.";
    NodeWithoutFencing, "node-without-fencing", Warning, "No fence device covers the node: when it fails its resources stay blocked.";
    FenceDeviceAtHome, "fence-device-at-home", Warning, "Nothing keeps the fence device off the node it powers off. It works (another node runs it when needed), but its monitor then tests the way from the wrong machine.";
    FenceCycle, "fence-cycle", Warning, "A power cycle is one command: the management board may report success before the power was off, and the survivor starts on a disk that the other still writes to.";
    IpmiInClear, "ipmi-in-clear", Note, "IPMI 1.5 (`lan`) protects neither the password nor the command; IPMI 2.0 (`lanplus`) does, and is what current boards offer.";
    SingleFencePath, "single-fence-path", Note, "One fence device a node: a management board that loses power together with its server cannot confirm anything, and recovery waits. A second level (switched power outlet, watchdog) removes that.";
    QuorumUndecided, "quorum-undecided", Warning, "With two voters neither alone is a majority. Say what a survivor does: fence its peer and go on (stonith-enabled=true), or have a third voter (a witness).";
    QuorumIgnored, "quorum-ignored", Warning, "no-quorum-policy=ignore keeps resources running on every side of a partition. It is safe only while fencing works; here quorum of a pair comes from confirmed fencing, and the option is not needed.";
    // Operations.
    NoMonitor, "no-monitor", Warning, "The resource has no recurring monitor: when it fails nobody notices.";
    MonitorInterval, "monitor-interval", Warning, "A recurring operation needs an interval above zero.";
    DuplicateOperation, "duplicate-operation", Error, "Two recurring operations of one name and interval cannot be told apart; give the second another interval.";
    ShortTimeout, "short-timeout", Warning, "The timeout is below what the agent itself advises. A start or monitor that is merely slow becomes a failure; a stop that is merely slow gets the node fenced.";
    StopFencesNode, "stop-fences-node", Note, "A stop that fails or exceeds its timeout gets the node fenced.";
    LongStop, "long-stop", Note, "Time an orderly move may take at worst, from the timers.";
    // Agents.
    MissingAgent, "missing-agent", Error, "The agent is not installed on this host.";
    UnknownParameter, "unknown-parameter", Error, "The agent has no such parameter, says its own metadata; it would be ignored.";
    MissingParameter, "missing-parameter", Error, "The agent says in its metadata that the parameter is required.";
    BadParameter, "bad-parameter", Warning, "The value is not of the kind that the agent's metadata names.";
    UnsupportedOperation, "unsupported-operation", Warning, "The agent does not offer the operation, says its metadata.";
    ObsoleteAgent, "obsolete-agent", Warning, "The agent is superseded.";
    // Structure.
    NoStickiness, "no-stickiness", Note, "Without resource-stickiness a service may move back as soon as a repaired node returns: a second outage for nothing.";
    CloneBeyondNodes, "clone-beyond-nodes", Warning, "More instances are asked for than nodes may run them.";
    PromotedRole, "promoted-role", Warning, "target-role of a promotable clone: 'Started' leaves it to the agents' scores who is promoted; some agents (galera) break when it is set to Master.";
    ShouldBeClone, "should-be-clone", Warning, "The agent's place is every node (it measures the node, or is asked on each), or its instances are promoted; as a single resource it does half its work.";
    NotInterleaved, "not-interleaved", Note, "An order between two clones without interleave=true: every instance of the second waits for every instance of the first, and a restart of one instance restarts the second on all nodes.";
    OrderCircle, "order-circle", Warning, "Orders lead back to where they began. None of the resources can be first; the scheduler drops one of the waits so that it can go on, and which one nobody has chosen.";
    Contradiction, "contradiction", Warning, "Two constraints cannot both hold: one keeps resources together, the other keeps them apart. One of the resources can never run.";
    OrderWithoutColocation, "order-without-colocation", Note, "An order says when, not where: without a colocation or a group both resources may be on two nodes.";
    ColocationWithoutOrder, "colocation-without-order", Note, "A colocation says where, not when: both resources start at the same time.";
    NowhereAllowed, "nowhere-allowed", Warning, "No node may run the resource: every node is forbidden to it, or the cluster is opt-in (symmetric-cluster=false) and no location names it.";
    MoveLeftBehind, "move-left-behind", Warning, "A move or ban that was made by hand stays as a constraint until somebody removes it. Weeks later the resource does not fail over, and nobody remembers why.";
    LeftUnmanaged, "left-unmanaged", Warning, "Maintenance or is-managed=false in a configuration: the cluster looks on when the resource fails.";
    FailureIgnored, "failure-ignored", Warning, "on-fail=ignore takes a failure for success.";
    ThresholdOutOfReach, "threshold-out-of-reach", Warning, "failure-timeout is so short that a failure is forgotten before migration-threshold of them can happen: the resource restarts on its node for ever and never moves.";
    AddressWithoutLink, "address-without-link", Note, "The monitor of an IPaddr2 looks for the address, not for the link below it: with a pulled cable the address stays where nobody reaches it.";
    EmptyDatabase, "empty-database", Warning, "An agent that makes a database where it finds none does so on an unmounted or replaced disk, too.";
    Fragment, "fragment", Note, "The text names no node. What can be said about a part of a configuration is said; fencing, quorum and placement are not judged.";
    EmptyGroup, "empty-group", Error, "A group needs members.";
    PairWithoutValue, "pair-without-value", Note, "A name without a value: the parameter is present and unset.";
    AddressInsideService, "address-inside-service", Note, "A service that binds to the virtual address must start after it and stops when it goes.";
    // Files of services.
    HaproxyAddress, "haproxy-address", Error, "A proxy without an address to listen on, or a server without one, keeps HAProxy from starting.";
    AllServersBackup, "all-servers-backup", Warning, "Every server of a proxy is marked as backup. HAProxy then uses the first one that is up; it works by accident and fails back at a bad time.";
    ServerUnchecked, "server-unchecked", Warning, "A server without a health check gets clients whether it lives or not.";
    SessionsOutliveServer, "sessions-outlive-server", Warning, "Without on-marked-down shutdown-sessions a client that waits for a dead server is not freed.";
    ConnectionLimits, "connection-limits", Warning, "The proxy lets as many connections through as the database takes, or more: nothing is left for monitors and administrators.";
    StickTableLost, "stick-table-lost", Note, "A stick table without peers is empty after a reload; clients may then be sent to another server.";
    SettingTwice, "setting-twice", Warning, "An option file sets a variable twice; the last one counts.";
    DurabilityOff, "durability-off", Warning, "The database acknowledges transactions before they are on disk.";
    GaleraSetting, "galera-setting", Error, "The value keeps a Galera server from starting or from replicating correctly.";
    GaleraBootstrapLeft, "galera-bootstrap-left", Error, "An empty gcomm:// address makes every start of the server begin a cluster of its own.";
    GaleraMembers, "galera-members", Warning, "The servers that the database joins and the nodes of the cluster are not the same.";
    FlowControl, "flow-control", Note, "Flow control that begins early lets the slowest server slow all writers.";
    SuspectTimeout, "suspect-timeout", Note, "Galera's own failure detection (5 s by default) bounds the outage of writers from below.";
    MirroredQueues, "mirrored-queues", Warning, "Classic mirrored queues were removed in RabbitMQ 4.0; quorum queues replace them and need three brokers.";
    PartitionsIgnored, "partitions-ignored", Warning, "RabbitMQ goes on alone on each side of a partition.";
    MemcachedList, "memcached-list", Warning, "Clients that know several caches look for a token in one of them; the others do not have it when that host is down.";
    MemcachedMoves, "memcached-moves", Warning, "A cache behind another (virtual) address: the address moves, what was cached does not.";
    MemcachedNotLocal, "memcached-not-local", Warning, "Every client is told of its own host's cache, which must listen there.";
    MemcachedOpen, "memcached-open", Warning, "Memcached asks nobody for a password: whoever reaches it reads tokens.";
    TwoBrokers, "two-brokers", Warning, "Two message brokers cannot lose one: no majority is left, and quorum queues need one.";
    AgentElsewhere, "agent-elsewhere", Note, "The distribution installs the agent under another provider; both names are understood here.";
    // The host.
    StartedByInit, "started-by-init", Error, "The service is under the cluster's control and init would start it too: at boot it then runs on two nodes at once, on shared data.";
    UidDiffers, "uid-differs", Error, "Files on a shared disk belong to numbers, not names: the account must have one number on every node.";
    AppArmor, "apparmor-data-directory", Error, "AppArmor confines the database server and its profile does not name the data directory: the start fails with permission denied.";
    MissingProgram, "missing-program", Error, "An agent calls the program and it is not installed on this host.";
    MissingFile, "missing-file", Warning, "A path that the configuration names does not exist on this host.";
}
