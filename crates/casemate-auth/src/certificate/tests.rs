use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::*;

fn certificate(common: &str, names: &[SanType]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.subject_alt_names = names.to_vec();
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn of(name: &str, names: &[&str]) -> Holder {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Holder { name: name.to_owned(), roles: Vec::new(), sha256: None, names }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn a_certificate_stands_for_the_one_entry_that_speaks_of_it() {
    let uri = SanType::URI("spiffe://corp/agent".try_into().unwrap());
    let mail = SanType::Rfc822Name("a@corp.example".try_into().unwrap());
    let der = certificate("agent", &[dns("agent.corp.example"), uri, mail]);
    let pinned = Holder { sha256: Some(Sha256::digest(&der).into()), ..of("pinned", &[]) };
    for own in [
        of("a", &["CN:agent"]),
        of("a", &["DNS:agent.corp.example"]),
        of("a", &["URI:other", "URI:spiffe://corp/agent"]),
        of("a", &["email:a@corp.example"]),
        pinned,
    ] {
        let others = of("other", &["CN:other", "DNS:corp.example"]);
        assert_eq!(holder(&[others, own.clone()], &der).unwrap(), &own);
    }
}

#[test]
fn what_only_looks_like_it_is_nobodys() {
    let der = certificate("agent", &[dns("agent.corp.example")]);
    for names in [
        &["CN:Agent"][..],
        &["agent"],
        &["DNS:agent"],
        &["CN:agent.corp.example"],
        &["DNS:*.corp.example"],
        &["DNS:agent.corp.example."],
        &["URI:agent.corp.example"],
        &["CN:"],
        &[""],
        &[],
    ] {
        assert!(matches!(holder(&[of("a", names)], &der), Err(CertificateFault::Unknown(_))), "{names:?}");
    }
    let other = Holder { sha256: Some([0; 32]), ..of("a", &[]) };
    assert!(holder(&[other], &der).is_err());
}

#[test]
fn nobody_is_two() {
    let der = certificate("agent", &[dns("agent.corp.example")]);
    let two = [of("a", &["CN:agent"]), of("b", &["DNS:agent.corp.example"])];
    assert_eq!(holder(&two, &der), Err(CertificateFault::Ambiguous("a, b".to_owned())));
}

#[test]
fn what_is_no_certificate() {
    let der = certificate("agent", &[]);
    let holders = [of("a", &["CN:agent"])];
    assert!(holder(&holders, &der).is_ok());
    for bad in [
        &[][..],
        b"-----BEGIN CERTIFICATE-----",
        &der[1..],
        &der[..der.len() - 1],
        &[&der[..], &[0]].concat(),
        &vec![0x30; 1 << 17],
    ] {
        assert_eq!(holder(&holders, bad), Err(CertificateFault::Malformed));
    }
}
