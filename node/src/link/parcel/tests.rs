//! Parcels: what is read back, and everything that is refused.

use std::io::Cursor;
use std::sync::Arc;

use icomm_pki::NodeCredentials;
use icomm_proto::v1::{Hello, Want, frame::Body};
use proptest::prelude::*;

use super::*;
use crate::link::tests::world::World;

fn frame(body: Body) -> Frame {
    Frame { body: Some(body) }
}

fn want(from: u64) -> Frame {
    frame(Body::Want(Want {
        origin: "ES/main".into(),
        from,
        stop: false,
        under: None,
    }))
}

fn head(from: &NodeCredentials, to: &NodeCredentials) -> ParcelHead {
    ParcelHead {
        from_member: from.member().to_string(),
        from_node: from.node_name().to_string(),
        to_member: to.member().to_string(),
        to_node: to.node_name().to_string(),
        time: 1_795_428_000,
        chain: from.node_chain().iter().map(|der| der.to_vec().into()).collect(),
    }
}

fn packed(from: &NodeCredentials, to: &NodeCredentials, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packing = Packing::begin(&mut out, &head(from, to), &to.peer_id()).unwrap();
    for frame in frames {
        packing.add(frame).unwrap();
    }
    let bytes = packing.finish(from.node_key()).unwrap();
    assert_eq!(bytes, out.len() as u64);
    out
}

struct Network {
    world: World,
    es: Arc<NodeCredentials>,
    pt: Arc<NodeCredentials>,
    it: Arc<NodeCredentials>,
}

fn network() -> Network {
    let mut world = World::new();
    let [es, pt, it] = ["ES", "PT", "IT"].map(|member| world.enrol(member));
    Network { world, es, pt, it }
}

impl Network {
    fn unpacked(&mut self, parcel: &[u8], to: &NodeCredentials) -> Result<Vec<Frame>, InvalidParcel> {
        let addressee = Addressee {
            member: to.member().as_str(),
            node: to.node_name().as_str(),
            key: to.node_key(),
        };
        let now = OffsetDateTime::now_utc();
        let mut parcel = Parcel::verify(Cursor::new(parcel), &addressee, &self.world.bundle(), now)?;
        assert_eq!(
            (parcel.sender().member(), parcel.time()),
            (self.es.member(), 1_795_428_000)
        );
        let mut frames = Vec::new();
        while let Some(frame) = parcel.next()? {
            frames.push(frame);
        }
        assert!(parcel.next().is_err(), "nothing follows the end");
        Ok(frames)
    }
}

#[test]
fn what_is_packed_is_unpacked_by_its_addressee_alone() {
    let mut network = network();
    let (es, pt, it) = (network.es.clone(), network.pt.clone(), network.it.clone());
    let frames = [frame(Body::Hello(Hello::default())), want(1), want(2)];
    let parcel = packed(&es, &pt, &frames);
    assert_eq!(network.unpacked(&parcel, &pt).unwrap(), frames);
    assert_eq!(network.unpacked(&packed(&es, &pt, &[]), &pt).unwrap(), []);

    let refused = network.unpacked(&parcel, &it).unwrap_err();
    assert!(
        matches!(&refused, InvalidParcel::Addressee { member, .. } if member == "PT"),
        "{refused}"
    );
    // Sealed to Italy under Portugal's name.
    let mut out = Vec::new();
    let mut packing = Packing::begin(&mut out, &head(&es, &pt), &it.peer_id()).unwrap();
    packing.add(&want(1)).unwrap();
    packing.finish(es.node_key()).unwrap();
    assert!(matches!(
        network.unpacked(&out, &pt),
        Err(InvalidParcel::Opening(0, SealingError::Opening))
    ));
    assert!(!contains(&parcel, b"ES/main"), "frames are not in clear");
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn any_byte_changed_and_any_cut_is_refused_before_a_frame_is_seen() {
    let mut network = network();
    let (es, pt) = (network.es.clone(), network.pt.clone());
    let parcel = packed(&es, &pt, &[want(1), want(2)]);
    for at in 0..parcel.len() {
        let mut changed = parcel.clone();
        changed[at] ^= 1;
        let refused = network.unpacked(&changed, &pt);
        assert!(refused.is_err(), "byte {at} of {}", parcel.len());
    }
    for length in 0..parcel.len() {
        let refused = network.unpacked(&parcel[..length], &pt).unwrap_err();
        assert!(matches!(refused, InvalidParcel::Short), "{length}: {refused}");
    }
    let longer = [parcel.as_slice(), b"x"].concat();
    assert!(matches!(network.unpacked(&longer, &pt), Err(InvalidParcel::Trailing)));
    assert!(matches!(
        network.unpacked(b"PK\x03\x04 a zip of something", &pt),
        Err(InvalidParcel::Tag)
    ));
    let bomb = [TAG.as_slice(), &u32::MAX.to_be_bytes()].concat();
    assert!(matches!(network.unpacked(&bomb, &pt), Err(InvalidParcel::Head)));
}

#[test]
fn a_sender_counts_as_on_any_carrier() {
    let mut network = network();
    let (es, pt, it) = (network.es.clone(), network.pt.clone(), network.it.clone());
    // Italy's key under Spain's certificates, and Spain's certificates under Italy's name.
    let mut out = Vec::new();
    let packing = Packing::begin(&mut out, &head(&es, &pt), &pt.peer_id()).unwrap();
    packing.finish(it.node_key()).unwrap();
    assert!(matches!(network.unpacked(&out, &pt), Err(InvalidParcel::Signature)));
    let mut out = Vec::new();
    let named = ParcelHead {
        from_member: "IT".into(),
        ..head(&es, &pt)
    };
    Packing::begin(&mut out, &named, &pt.peer_id())
        .unwrap()
        .finish(es.node_key())
        .unwrap();
    assert!(matches!(network.unpacked(&out, &pt), Err(InvalidParcel::Name(name)) if name == "IT"));

    let parcel = packed(&es, &pt, &[want(1)]);
    network.world.revoke("ES");
    let refused = network.unpacked(&parcel, &pt).unwrap_err();
    assert!(matches!(refused, InvalidParcel::Sender(_)), "{refused}");
}

#[test]
fn a_frame_that_is_none_is_refused_though_it_was_signed() {
    let mut network = network();
    let (es, pt) = (network.es.clone(), network.pt.clone());
    let mut out = Vec::new();
    let mut packing = Packing::begin(&mut out, &head(&es, &pt), &pt.peer_id()).unwrap();
    packing.add(&want(1)).unwrap();
    let sealed = packing.sealer.seal(b"\xff\xff\xff").unwrap();
    packing.out.put_piece(&sealed).unwrap();
    packing.finish(es.node_key()).unwrap();
    assert!(matches!(network.unpacked(&out, &pt), Err(InvalidParcel::Frame(1))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), tagged: bool) {
        let mut network = network();
        let pt = network.pt.clone();
        let parcel = if tagged { [TAG.as_slice(), &bytes].concat() } else { bytes };
        prop_assert!(network.unpacked(&parcel, &pt).is_err());
    }
}
