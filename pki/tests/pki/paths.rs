//! A member's path to the root, with nothing at hand but the root.

use icomm_pki::*;
use rcgen::{KeyPair, PKCS_ED25519};
use time::Duration;

use crate::network::{NOW, Network, dns, forge, id, leaf_params, uri};

fn path(network: &Network, member: &str) -> MemberPath {
    MemberPath::of(&id(member), &network.verified()).unwrap()
}

fn ders(path: &MemberPath) -> Vec<CertificateDer<'static>> {
    path.certificates().cloned().collect()
}

fn refusal(result: Result<&MemberCertificate, InvalidMemberPath>) -> InvalidPath {
    match result.unwrap_err() {
        InvalidMemberPath::Root { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn members_of_a_region_and_of_the_root_have_a_path() {
    let network = Network::new();
    for (member, length) in [("KE", 2), ("ES", 1), ("RILO-ESA", 1)] {
        let path = path(&network, member);
        assert_eq!(path.certificates().count(), length);
        let read = MemberPath::parse(ders(&path)).unwrap();
        assert_eq!(read, path);
        let certificate = read.verify(network.root.certificate()).unwrap();
        assert_eq!(certificate.member(), &id(member));
        assert!(read.counts_at(NOW));
        assert!(!read.counts_at(NOW + Duration::days(4000)));
    }
    assert_eq!(MemberPath::of(&id("FR"), &network.verified()), None);
}

#[test]
fn another_root_is_not_the_trusted_one() {
    let (network, other) = (Network::new(), Network::new());
    let root = other.root.certificate();
    assert_eq!(refusal(path(&network, "ES").verify(root)), InvalidPath::Signature);
    assert_eq!(refusal(path(&network, "KE").verify(root)), InvalidPath::UnknownIssuer);
    assert_eq!(
        refusal(path(&network, "ES").verify(network.regional.certificate())),
        InvalidPath::UnknownIssuer,
        "an intermediate is no root"
    );
}

#[test]
fn a_path_without_its_intermediate_breaks() {
    let network = Network::new();
    let alone = MemberPath::parse(ders(&path(&network, "KE"))[..1].to_vec()).unwrap();
    assert_eq!(
        refusal(alone.verify(network.root.certificate())),
        InvalidPath::Signature
    );
}

#[test]
fn what_is_not_a_path_is_said() {
    let network = Network::new();
    let (ke, es) = (ders(&path(&network, "KE")), ders(&path(&network, "ES")));
    assert!(matches!(MemberPath::parse(vec![]), Err(InvalidMemberPath::Length(0))));
    let long = [ke.clone(), es.clone()].concat();
    assert!(matches!(MemberPath::parse(long), Err(InvalidMemberPath::Length(3))));
    let turned = ke.iter().rev().cloned().collect();
    assert!(matches!(
        MemberPath::parse(turned),
        Err(InvalidMemberPath::Certificate(0, _))
    ));
    let two_members = vec![ke[0].clone(), es[0].clone()];
    assert!(matches!(
        MemberPath::parse(two_members),
        Err(InvalidMemberPath::Certificate(1, _))
    ));
}

/// A path through the region's authority, who certifies this member in this role.
fn forged_by_region(network: &Network, member: &str, role: &str) -> MemberPath {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let mut params = leaf_params(&[]);
    params.subject_alt_names = vec![
        dns(&format!("{}.demo.icomm.example", member.to_lowercase())),
        uri(&format!("spiffe://demo.icomm.example/member/{member}/role/{role}")),
    ];
    let regional = network.regional.certificate();
    let certificate = forge(regional, &network.regional_key, &key, &params);
    MemberPath::parse(vec![certificate, regional.der().clone()]).unwrap()
}

#[test]
fn a_region_certifies_its_own_members_as_national_and_nothing_else() {
    let network = Network::new();
    let root = network.root.certificate();
    forged_by_region(&network, "KE", "national").verify(root).unwrap();
    assert!(matches!(
        refusal(forged_by_region(&network, "ES", "national").verify(root)),
        InvalidPath::OutsideRegion { .. }
    ));
    assert_eq!(
        refusal(forged_by_region(&network, "KE", "global").verify(root)),
        InvalidPath::RoleNeedsRoot { role: Role::Global }
    );
}
