//! What a person is told about a host.

use expect_test::expect;

use super::*;

fn host() -> Host {
    Host {
        kernel: "6.1.0".to_owned(),
        user: 1000,
        group: 1000,
        user_namespaces: Ok(()),
        pid_namespace: Ok(()),
        net_namespace: Ok(()),
        ipc_namespace: Ok(()),
        uts_namespace: Ok(()),
        cgroup_namespace: Ok(()),
        landlock: Some(2),
        seccomp: Ok(()),
        cgroups: Cgroups::default(),
    }
}

#[test]
fn an_able_host_says_so() {
    expect![[r#"
        kernel            6.1.0
        user              1000 (an ordinary user)
        identity          yes
        processes         yes
        network           yes
        ipc               yes
        hostname          yes
        cgroup-view       yes
        seccomp           yes
        landlock          yes, version 2
        cgroups           none that we may use; run as a service with delegation (`casemate service install`)
        full cell         yes
        light cell        no: landlock: version 2 of Landlock cannot keep files from being cut off"#]]
    .assert_eq(&host().to_string());
}

#[test]
fn an_unable_host_says_what_to_change() {
    let obstacle = Obstacle { reason: "not permitted".to_owned(), remedy: Layer::Identity.remedy() };
    let host = Host { user: 0, user_namespaces: Err(obstacle), landlock: None, ..host() };
    assert_eq!(host.obstacles().map(|(layer, _)| layer).collect::<Vec<_>>(), [Layer::Identity]);
    expect![[r#"
        kernel            6.1.0
        user              0 (root; servers run as users of their own)
        identity          no: not permitted; allow user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, on Ubuntu an AppArmor profile with `userns`), or ask for a light cell
        processes         yes
        network           yes
        ipc               yes
        hostname          yes
        cgroup-view       yes
        seccomp           yes
        landlock          no; boot with Landlock (kernel 5.13, `lsm=landlock,…`), or ask for a full cell
        cgroups           none that we may use; run as a service with delegation (`casemate service install`)
        full cell         no: identity: not permitted
        light cell        no: landlock: this kernel has no Landlock"#]].assert_eq(&host.to_string());
}

#[test]
fn this_host_can_be_asked() {
    let host = Host::probe();
    assert_eq!(host.user, rustix::process::geteuid().as_raw());
    assert_eq!(host, Host::probe());
}
