//! What was written is read as the same, and bytes that were not written by anyone do no harm.

use proptest::prelude::*;

use super::any;
use crate::*;

/// A packet with its version and sender.
fn sent() -> impl Strategy<Value = (Version, Side, Packet)> {
    (any::version(), prop_oneof![Just(Side::Client), Just(Side::Server)]).prop_flat_map(|(version, from)| {
        any::packet(version, from).prop_map(move |packet| (version, from, packet))
    })
}

proptest! {
    #[test]
    fn what_was_encoded_decodes_to_the_same((version, from, packet) in sent()) {
        let bytes = super::written(&packet, version);
        prop_assert_eq!(super::one(version, from, &bytes), Ok(packet));
    }

    #[test]
    fn a_connect_decodes_to_the_same(connect in any::version().prop_flat_map(any::connect)) {
        let mut bytes = super::written(&Packet::Connect(Box::new(connect.clone())), connect.version);
        prop_assert_eq!(decode_connect(&mut bytes, &Limits::default()), Ok(Some(connect)));
        prop_assert!(bytes.is_empty());
    }
}
