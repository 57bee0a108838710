//! The messages that carry a draft into a node, with the draft left encoded: whoever takes it reads it in place
//! ([`crate::draft::Draft::parse`]), and an import of many rows copies none of them. On the wire they are what `node.proto`
//! says.

use bytes::Bytes;

/// `icomm.v1.SubmitRequest`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SubmitRequest {
    /// An encoded `icomm.v1.Draft`.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub draft: Option<Bytes>,
    /// 16 bytes, or none: the same key is issued once.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
}

/// `icomm.v1.ImportRow`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ImportRow {
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// An encoded `icomm.v1.Draft`.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub draft: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use protox::prost_reflect::{DescriptorPool, DynamicMessage};

    use super::*;
    use crate::record::tests::complete;
    use crate::v1::{Draft, FILE_DESCRIPTOR_SET};

    /// Key and draft of a message as somebody reads them who has the .proto files only.
    fn read(name: &str, bytes: &[u8]) -> (Vec<u8>, Draft) {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let message = DynamicMessage::decode(pool.get_message_by_name(name).unwrap(), bytes).unwrap();
        assert_eq!(message.unknown_fields().count(), 0);
        let key = message.get_field_by_name("key").unwrap().as_bytes().unwrap().to_vec();
        let draft = message.get_field_by_name("draft").unwrap();
        (key, draft.as_message().unwrap().transcode_to().unwrap())
    }

    #[test]
    fn they_are_on_the_wire_what_the_proto_files_say() {
        let (draft, key) = (complete(), Bytes::from_static(b"sixteen bytes of"));
        let encoded = Some(Bytes::from(draft.encode_to_vec()));
        let row = ImportRow {
            key: key.clone(),
            draft: encoded.clone(),
        };
        let submit = SubmitRequest {
            draft: encoded,
            key: key.clone(),
        };
        let expected = (key.to_vec(), draft);
        assert_eq!(read("icomm.v1.ImportRow", &row.encode_to_vec()), expected);
        assert_eq!(read("icomm.v1.SubmitRequest", &submit.encode_to_vec()), expected);
    }

    #[test]
    fn no_draft_is_not_an_empty_one() {
        let row = |draft| ImportRow {
            key: Bytes::new(),
            draft,
        };
        for draft in [None, Some(Bytes::new())] {
            let row = row(draft);
            assert_eq!(ImportRow::decode(row.encode_to_vec().as_slice()).unwrap(), row);
        }
    }
}
