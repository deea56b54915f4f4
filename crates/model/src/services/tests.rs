use super::*;
use crate::diag::{Source, render_all};

fn report(name: &str, text: &str, surroundings: &Surroundings) -> String {
    let kind = Kind::of(name).expect("a known kind");
    let found = check(File { name, text, kind }, surroundings);
    render_all(&found, Source { name, text }, false)
}

fn controllers() -> Surroundings {
    Surroundings {
        nodes: vec!["controller01".into(), "controller02".into()],
        max_connections: Some(2048),
        promote_timeout_ms: None,
    }
}

const HAPROXY: &str = "\
listen galera
        mode tcp
        stick-table type ip size 1000
        stick on dst
        option httpchk
        maxconn 2048
        default-server port 8000
        server controller01 check inter 2000 rise 5 fall 2 backup on-marked-down shutdown-sessions
        server controller02 10.0.0.2:3306 inter 2000 backup
";

#[test]
fn a_load_balancer_with_many_faults() {
    insta::assert_snapshot!(report("haproxy.cfg", HAPROXY, &controllers()));
}

const MY_CNF: &str = "\
[mysqld]
innodb_log_file_size = 64M
innodb_log_file_size = 64M
innodb_flush_log_at_trx_commit = 0
wsrep_on = ON
wsrep_provider = /usr/lib64/galera-3/
wsrep_cluster_address = \"gcomm://controller01,controller03\"
wsrep_provider_options = \"gmcast.listen_addr = tcp://; \\
gcs.fc_limit = 5; gcs.fc_factor = 0.8;\"
binlog_format = ROW
innodb_autoinc_lock_mode = 1
bind-address           =
";

#[test]
fn a_database_with_many_faults() {
    insta::assert_snapshot!(report("/etc/mysql/my.cnf", MY_CNF, &controllers()));
}

#[test]
fn a_bootstrap_address_that_was_left_behind() {
    let text = "[mysqld]\nwsrep_cluster_address = \"gcomm://\"\n";
    let found = report("my.cnf", text, &controllers());
    assert!(found.contains("error[galera-bootstrap-left]"), "{found}");
}

#[test]
fn brokers_that_an_upgrade_would_surprise() {
    let text = "rabbitmqctl set_policy ha-queues '.*' '{\"ha-mode\": \"exactly\"}'\nrabbitmqctl add_user openstack secret\n";
    insta::assert_snapshot!(report("rabbitmq/setup.sh", text, &Surroundings::default()));
}

#[test]
fn limits_come_from_the_database_file() {
    let file = File {
        name: "my.cnf",
        text: "max_connections = 100\n",
        kind: Kind::MyCnf,
    };
    let gathered = Surroundings::gather(&Configuration::default(), &[file]);
    assert_eq!(gathered.max_connections, Some(100));
}

/// What the document ended up with, and the two variants that it rejected.
#[test]
fn caches_as_they_were_tried() {
    let nothing = Surroundings::default();
    let good = report(
        "nova.conf",
        "[cache]\nmemcached_servers = localhost:11211\n",
        &nothing,
    );
    assert!(good.contains("0 errors, 0 warnings"), "{good}");
    let daemon = "-d\n-U 0\n-m 64\n-l 127.0.0.1,10.0.0.7\n-p 11211\n-c 4096\n";
    let good = report("/etc/memcached.conf", daemon, &nothing);
    assert!(good.contains("0 errors, 0 warnings"), "{good}");
    let sysconfig = "MEMCACHED_PARAMS=\"-U 0 -m 64 -l 127.0.0.1,10.0.0.7 -p 11211 -c 4096\"\n";
    let good = report("/etc/sysconfig/memcached", sysconfig, &nothing);
    assert!(good.contains("0 errors, 0 warnings"), "{good}");
    let tried = "memcached_servers = controller01:11211,controller02:11211\n# or\nmemcached_servers = controller:11211\n\
                 transport_url = rabbit://openstack:secret@controller01:5672,openstack:secret@controller02:5672/openstack\n";
    insta::assert_snapshot!(report(
        "/etc/nova/nova.conf.d/100-custom.conf",
        tried,
        &nothing
    ));
    let open = "-l 0.0.0.0\n-U 11211\n";
    insta::assert_snapshot!(report("memcached.conf", open, &nothing));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,300}") {
        for kind in [Kind::MyCnf, Kind::Haproxy, Kind::Rabbitmq] {
            let _ = check(File { name: "x", text: &text, kind }, &controllers());
        }
    }

    #[test]
    fn no_options_panic(text in "wsrep_provider_options ?= ?\"?[a-z.;= \\\\\n\"é]{0,60}\n(server|listen|bind)?[ a-z]{0,20}") {
        for kind in [Kind::MyCnf, Kind::Haproxy, Kind::Rabbitmq] {
            let _ = check(File { name: "x", text: &text, kind }, &controllers());
        }
    }
}
