//! Messages as JSON and back, by the standard protobuf mapping: field names as in the .proto files, bytes in base64.
//!
//! The mapping is read off the descriptors, so a field added to a .proto file shows up here without a line of code.

use std::sync::LazyLock;

use icomm_proto::v1;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

use super::exit::Failure;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// A generated message and its full name.
pub(super) trait Named: Message + Default {
    /// `icomm.v1.Draft`
    const FULL_NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),* $(,)?) => {
        $(impl Named for v1::$message {
            const FULL_NAME: &'static str = concat!("icomm.v1.", stringify!($message));
        })*
        #[cfg(test)]
        const NAMES: &[&str] = &[$(<v1::$message as Named>::FULL_NAME),*];
    };
}

named!(
    Agreement,
    AttachReply,
    ClearPhotoReply,
    HeldPhoto,
    AgreementPreview,
    BackupSummary,
    ConsentStatus,
    Disclosure,
    DisclosuresStatus,
    ParcelSummary,
    DoctorReply,
    Draft,
    Entry,
    ExplainReply,
    Fork,
    GetReply,
    Link,
    ListAgreementsReply,
    ListLinksReply,
    LogStatus,
    Outcome,
    RecallReply,
    RecordRecall,
    RecoveryStatus,
    RefusedDocument,
    RetentionTermsReply,
    StatusReply,
    TestLinkReply,
    UpdateBundleReply,
    WhoReply,
);

/// Why a text is not the message it should be: the user's to mend.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub(super) struct InvalidJson {
    line: usize,
    column: usize,
    what: String,
}

/// The message as JSON. Empty fields are shown, so that a program finds the same keys every time.
pub(super) fn to_json<M: Named>(message: &M) -> Result<Value, Failure> {
    const SHOW: SerializeOptions = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false)
        .stringify_64_bit_integers(false);
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message)?;
    Ok(dynamic.serialize_with_options(serde_json::value::Serializer, &SHOW)?)
}

/// The message that a JSON text describes. An unknown key is an error that names its line.
pub(super) fn from_json<M: Named>(text: &str) -> Result<M, Failure> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let wrong = |error: serde_json::Error| InvalidJson {
        line: error.line(),
        column: error.column(),
        what: error
            .to_string()
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    let dynamic = DynamicMessage::deserialize(descriptor::<M>()?, &mut reader).map_err(wrong)?;
    reader.end().map_err(wrong)?;
    Ok(dynamic.transcode_to()?)
}

fn descriptor<M: Named>() -> Result<MessageDescriptor, Failure> {
    POOL.get_message_by_name(M::FULL_NAME).ok_or_else(|| {
        Failure::new(format_args!(
            "this program was built without a description of `{}`",
            M::FULL_NAME
        ))
    })
}

#[cfg(test)]
mod tests {
    use icomm_proto::v1;

    use super::{NAMES, POOL, from_json, to_json};

    #[test]
    fn every_name_is_one_of_the_schema() {
        for name in NAMES {
            assert!(POOL.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_draft_goes_to_json_and_back() {
        let text = r#"{"kind": "RECORD_KIND_SEIZURE", "case": {"class": {"seizure_country": "KE"}},
            "exact": {"goods": [{"quantity": "12.5", "unit": "KGM"}]}}"#;
        let draft: v1::Draft = from_json(text).unwrap();
        assert_eq!(draft.kind(), v1::RecordKind::Seizure);
        let json = to_json(&draft).unwrap();
        assert_eq!(json["case"]["class"]["seizure_country"], "KE");
        assert_eq!(from_json::<v1::Draft>(&json.to_string()).unwrap(), draft);
    }

    #[test]
    fn counts_are_numbers_and_empty_fields_are_there() {
        let json = to_json(&v1::LogStatus {
            entries: 44_229,
            ..Default::default()
        })
        .unwrap();
        assert_eq!(json["entries"], 44_229);
        assert_eq!(json["withheld"], 0);
        assert_eq!(json["origin"], "");
    }

    #[test]
    fn an_unknown_key_names_its_line() {
        let error = from_json::<v1::Draft>("{\n  \"cases\": {}\n}").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("cases"), "{error}");
        assert!(from_json::<v1::Draft>("{} {}").is_err());
        assert!(from_json::<v1::Draft>("[").is_err());
    }
}
