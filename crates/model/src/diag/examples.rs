//! An example of each rule: the shortest text that it finds something in.

use super::Code;

/// What an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// Statements of a configuration.
    Statements(&'static str),
    /// An information base.
    Xml(&'static str),
    /// Statements that are wrong on some hosts or with some agents only: what is so there.
    OnHost(&'static str, &'static str),
    /// A file of a service, with its name.
    File(&'static str, &'static str),
}

use Example::{File, OnHost, Statements, Xml};

/// Two nodes with something to protect.
macro_rules! two {
    ($text:literal) => {
        concat!(
            "node n1\nnode n2\nprimitive a Dummy op monitor interval=10s\n",
            $text
        )
    };
}

impl Code {
    /// A text that the rule finds something in; rules of services' files may have none.
    #[allow(clippy::too_many_lines, reason = "a table")]
    pub fn example(self) -> Option<Example> {
        Some(match self {
            Code::Syntax => Statements("primitive db\n"),
            Code::UnknownStatement => Statements("primtive db Dummy\n"),
            Code::UnknownSection => Statements("primitive db Dummy parms state=/run/db\n"),
            Code::DuplicateId => Statements("primitive db Dummy\nprimitive db Dummy\n"),
            Code::BadId => Statements("primitive 1db Dummy\n"),
            Code::BadScore => Statements("primitive a Dummy\nlocation l a 12x: n1\n"),
            Code::BadRole => {
                Statements("primitive a Dummy\nprimitive b Dummy\ncolocation c inf: a:Chief b\n")
            }
            Code::BadRule => {
                Statements("primitive a Dummy\nlocation l a rule x eq 1 and y eq 2 or z eq 3\n")
            }
            Code::BadSet => {
                Statements("primitive a Dummy\nprimitive b Dummy\ncolocation c inf: ( a ( b ) )\n")
            }
            Code::UnclosedQuote => Statements("primitive a Dummy params state=\"/run/a\n"),
            Code::Continuation => Statements("primitive a Dummy \\ \n\tparams state=/run/a\n"),
            Code::TooLarge => return None,
            Code::BadXml => Statements("xml <primitive id=\"x\"\n"),
            Code::DeprecatedWord => Statements("user joe write status\n"),
            Code::UpgradedForm => Xml(
                "<cib validate-with=\"pacemaker-1.2\"><configuration><crm_config><cluster_property_set id=\"o\"><nvpair id=\"o1\" name=\"stonith_enabled\" value=\"true\"/></cluster_property_set></crm_config></configuration></cib>",
            ),
            Code::NotKept => Xml(
                "<cib><configuration><resources><primitive id=\"a\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"><sparkle/></primitive></resources></configuration></cib>",
            ),
            Code::UndefinedMember => Statements("primitive db Dummy\ngroup g db vip\n"),
            Code::UndefinedReference => Statements("primitive db Dummy\nlocation l bd 100: n1\n"),
            Code::UndefinedTemplate => Statements("primitive db @mysql\n"),
            Code::UndefinedIdRef => Statements("primitive db Dummy meta $id-ref=defaults\n"),
            Code::MemberTwice => Statements("primitive db Dummy\ngroup g db\ngroup h db\n"),
            Code::WrongMember => Statements("primitive a Dummy\ngroup g a\ngroup h g\n"),
            Code::ConstraintOnMember => Statements(
                "primitive a Dummy\nprimitive b Dummy\ngroup g a b\nlocation l a 100: n1\n",
            ),
            Code::UnknownNode => Statements(two!("location l a -inf: n3\n")),
            Code::NodeCase => Statements(two!("location l a -inf: N1\n")),
            Code::Placeholder => Statements("primitive vip IPaddr2 params ip=MYSQL_VIP\n"),
            Code::MaskedValue => Statements("primitive db galera params check_passwd=****\n"),
            Code::PasswordInClear => {
                Statements("primitive f stonith:external/ipmi params hostname=n1 passwd=tiger\n")
            }
            Code::UnknownOption => Statements("property stonith-enabeld=true\n"),
            Code::UnknownMeta => Statements("primitive a Dummy meta target-roll=Started\n"),
            Code::UnknownOpAttribute => {
                Statements("primitive a Dummy op monitor interval=10s timout=20s\n")
            }
            Code::BadValue => Statements("property batch-limit=many\n"),
            Code::StraySpace => Statements("primitive a Dummy params state=\"/run/a \"\n"),
            Code::RenamedOption => Statements(
                "primitive a ocf:pacemaker:Stateful\nclone c a meta promotable=true master-max=1\n",
            ),
            Code::FencingUndecided => Statements(two!("")),
            Code::FencingOff => Statements(two!("property stonith-enabled=false\n")),
            Code::NoFenceDevice => Statements(two!("property stonith-enabled=true\n")),
            Code::NodeWithoutFencing => Statements(two!(
                "primitive f stonith:fence_ipmilan params ip=10.0.0.1 pcmk_host_list=n1\n"
            )),
            Code::FenceDeviceAtHome => Statements(two!(
                "primitive f stonith:fence_ipmilan params ip=10.0.0.1 pcmk_host_list=n1\n"
            )),
            Code::FenceCycle => {
                Statements("primitive f stonith:fence_ipmilan params ip=10.0.0.1 method=cycle\n")
            }
            Code::IpmiInClear => {
                Statements("primitive f stonith:external/ipmi params hostname=n1 ipaddr=10.0.0.1\n")
            }
            Code::SingleFencePath => Statements(two!(
                "primitive f stonith:fence_ipmilan params ip=10.0.0.1 pcmk_host_list=\"n1 n2\"\n"
            )),
            Code::QuorumUndecided => Statements(two!("")),
            Code::QuorumIgnored => Statements(two!("property no-quorum-policy=ignore\n")),
            Code::NoMonitor => Statements("primitive a Dummy\n"),
            Code::MonitorInterval => Statements("primitive a Dummy op monitor timeout=20s\n"),
            Code::DuplicateOperation => Statements(
                "primitive a ocf:pacemaker:Stateful op monitor interval=10s op monitor interval=10s role=Promoted\n",
            ),
            Code::ShortTimeout => OnHost(
                "the agent advises 30s for a monitor",
                "primitive db mysql params datadir=/d op monitor interval=10s timeout=5s\n",
            ),
            Code::StopFencesNode => Statements(two!(
                "primitive f stonith:fence_ipmilan params ip=10.0.0.1\nprimitive fs Filesystem op monitor interval=20s op stop timeout=240s\n"
            )),
            Code::LongStop => Statements(two!(
                "primitive fs Filesystem op monitor interval=20s op stop timeout=240s op start timeout=120s\n"
            )),
            Code::MissingAgent => OnHost(
                "there is no such agent",
                "primitive a ocf:heartbeat:Mising\n",
            ),
            Code::UnknownParameter => OnHost(
                "the agent calls it `socket`",
                "primitive db mysql params datadir=/d sokcet=/run/s\n",
            ),
            Code::MissingParameter => OnHost("the agent needs `datadir`", "primitive db mysql\n"),
            Code::BadParameter => {
                Statements("primitive vip IPaddr2 params ip=10.0.0.7 nic=bond1:200\n")
            }
            Code::UnsupportedOperation => OnHost(
                "the agent has no `reload`",
                "primitive db mysql params datadir=/d op reload timeout=5s\n",
            ),
            Code::ObsoleteAgent => Statements("primitive vg LVM params volgrpname=db\n"),
            Code::NoStickiness => Statements(two!("")),
            Code::CloneBeyondNodes => Statements(two!("clone c a meta clone-max=5\n")),
            Code::PromotedRole => Statements(
                "primitive db galera params wsrep_cluster_address=gcomm://a,b,c\nclone c db meta promotable=true target-role=Master\n",
            ),
            Code::ShouldBeClone => {
                Statements("primitive net ocf:pacemaker:ping params host_list=10.0.0.1\n")
            }
            Code::NotInterleaved => Statements(
                "primitive a Dummy\nprimitive b Dummy\nclone ca a\nclone cb b\norder o ca cb\n",
            ),
            Code::OrderCircle => {
                Statements("primitive a Dummy\nprimitive b Dummy\norder o1 a b\norder o2 b a\n")
            }
            Code::Contradiction => Statements(
                "primitive a Dummy\nprimitive b Dummy\ncolocation c1 inf: a b\ncolocation c2 -inf: a b\n",
            ),
            Code::OrderWithoutColocation => {
                Statements("primitive fs Dummy\nprimitive db Dummy\norder o fs db\n")
            }
            Code::ColocationWithoutOrder => {
                Statements("primitive fs Dummy\nprimitive db Dummy\ncolocation c inf: db fs\n")
            }
            Code::NowhereAllowed => {
                Statements(two!("location l1 a -inf: n1\nlocation l2 a -inf: n2\n"))
            }
            Code::MoveLeftBehind => {
                Statements("primitive a Dummy\nlocation cli-ban-a-on-n1 a -inf: n1\n")
            }
            Code::LeftUnmanaged => Statements("property maintenance-mode=true\n"),
            Code::FailureIgnored => {
                Statements("primitive a Dummy op monitor interval=10s on-fail=ignore\n")
            }
            Code::ThresholdOutOfReach => Statements(
                "primitive a Dummy op monitor interval=30s meta migration-threshold=10 failure-timeout=30s\n",
            ),
            Code::AddressWithoutLink => Statements("primitive vip IPaddr2 params ip=10.0.0.7\n"),
            Code::EmptyDatabase => Statements("primitive db galera params enable_creation=true\n"),
            Code::Fragment => Statements("primitive a Dummy\n"),
            Code::EmptyGroup => Statements("group g\n"),
            Code::PairWithoutValue => Statements("primitive a Dummy params state\n"),
            Code::AddressInsideService => Statements(
                "primitive vip IPaddr2 params ip=10.0.0.7\nprimitive db mysql params additional_parameters=\"--bind-address=10.0.0.7\"\ngroup g db vip\n",
            ),
            Code::HaproxyAddress => File("haproxy.cfg", "listen db\n  server a check\n"),
            Code::AllServersBackup => File(
                "haproxy.cfg",
                "listen db\n  bind 10.0.0.1:3306\n  server a 10.0.0.2:3306 check backup\n  server b 10.0.0.3:3306 check backup\n",
            ),
            Code::ServerUnchecked => File(
                "haproxy.cfg",
                "listen db\n  bind 10.0.0.1:3306\n  server a 10.0.0.2:3306\n",
            ),
            Code::SettingTwice => File(
                "my.cnf",
                "[mysqld]\nmax_connections = 10\nmax_connections = 20\n",
            ),
            Code::DurabilityOff => File(
                "my.cnf",
                "[mysqld]\ninnodb_flush_log_at_trx_commit = 0\nwsrep_on = ON\n",
            ),
            Code::GaleraBootstrapLeft => {
                File("my.cnf", "[mysqld]\nwsrep_cluster_address = \"gcomm://\"\n")
            }
            Code::MemcachedList => File(
                "nova.conf",
                "memcached_servers = controller01:11211,controller02:11211\n",
            ),
            Code::MemcachedMoves => File("nova.conf", "memcached_servers = controller:11211\n"),
            Code::MemcachedNotLocal => File("memcached.conf", "-l 10.0.0.7\n-U 0\n"),
            Code::MemcachedOpen => File("memcached.conf", "-l 0.0.0.0\n-U 0\n"),
            Code::TwoBrokers => Statements(
                "node n1\nnode n2\nprimitive mq ocf:heartbeat:rabbitmq-cluster\nclone mqs mq\n",
            ),
            Code::AgentElsewhere => Statements("primitive mq ocf:rabbitmq:rabbitmq-server-ha\n"),
            Code::StartedByInit => OnHost(
                "init starts mariadb.service",
                "node n1\nprimitive db mysql params datadir=/d\n",
            ),
            Code::UidDiffers => OnHost(
                "mysql is 107 on n1 and 112 on n2",
                "node n1\nnode n2\nprimitive db mysql params datadir=/d\n",
            ),
            Code::AppArmor => OnHost(
                "the profile of mysqld names /var/lib/mysql only",
                "node n1\nprimitive db mysql params binary=/usr/sbin/mysqld datadir=/data/mysql\n",
            ),
            Code::MissingProgram => OnHost(
                "there is no modprobe",
                "node n1\nprimitive fs Filesystem params device=/dev/sdb1 directory=/d fstype=ext4\n",
            ),
            Code::MissingFile => OnHost(
                "there is no /usr/sbin/mysqld",
                "node n1\nprimitive db mysql params binary=/usr/sbin/mysqld datadir=/d\n",
            ),
            _ => return None,
        })
    }
}
