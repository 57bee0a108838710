//! The calls of `icomm.v1.Photos`: photos come in and go out in parts; what is large is never one message.

use bytes::BytesMut;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use icomm_proto::v1::{self, attach_part::Part, photos_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    convert,
    meter::observed,
    pieces::QUEUE_PIECES_MAX,
    refusal::unknown,
    service::{blocking, record_id},
};
use crate::{
    intake::Photograph,
    node::{Attached, Cleared, FILES_BYTES_MAX, HeldPhoto, Node, PhotoFile, Target},
    store::IntakeKey,
};

/// Files of one call at most.
const FILES_MAX: usize = icomm_proto::validate::ITEMS_MAX;

/// The service over one node.
pub(super) struct Service {
    node: Node,
}

impl Service {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }

    async fn photos_of(&self, record: &str) -> Result<Vec<HeldPhoto>, Status> {
        let record = record_id(record)?;
        blocking(&self.node, move |node| Ok(node.photos_of(&record)?)).await
    }
}

#[tonic::async_trait]
impl photos_server::Photos for Service {
    type GetPhotoStream = BoxStream<'static, Result<v1::PhotoData, Status>>;

    async fn attach(&self, request: Request<Streaming<v1::AttachPart>>) -> Result<Response<v1::AttachReply>, Status> {
        observed("AttachPhotos", async {
            let mut parts = request.into_inner();
            let Some(Part::Target(target)) = parts.try_next().await?.and_then(|part| part.part) else {
                return Err(Status::invalid_argument("the first part says what the photos are for"));
            };
            let target = wanted(target)?;
            let files = files(parts).await?;
            Ok(reply(self.node.attach(target, files).await?))
        })
        .await
    }

    async fn list_photos(
        &self,
        request: Request<v1::ListPhotosRequest>,
    ) -> Result<Response<v1::ListPhotosReply>, Status> {
        observed("ListPhotos", async {
            let photos = self.photos_of(&request.into_inner().record_id).await?;
            let photos = (1..).zip(&photos).map(|(number, held)| shown(number, held)).collect();
            Ok(v1::ListPhotosReply { photos })
        })
        .await
    }

    async fn get_photo(&self, request: Request<v1::GetPhotoRequest>) -> Result<Response<Self::GetPhotoStream>, Status> {
        observed("GetPhoto", async {
            let v1::GetPhotoRequest { record_id, number } = request.into_inner();
            let photos = self.photos_of(&record_id).await?;
            let at = usize::try_from(number).unwrap_or(usize::MAX).checked_sub(1);
            let held = at.and_then(|at| photos.into_iter().nth(at));
            let held = held.ok_or_else(|| unknown("photo", &format!("{number} of record {record_id}")))?;
            if held.bytes() < held.photo.size() {
                return Err(Status::failed_precondition(format!(
                    "{} of {} bytes of it are here; try again when the rest has come",
                    held.bytes(),
                    held.photo.size()
                )));
            }
            let (sender, receiver) = mpsc::channel(QUEUE_PIECES_MAX);
            let node = self.node.clone();
            tokio::task::spawn_blocking(move || {
                for piece in 0..held.photo.piece_count() {
                    let data = match node.piece_of(&held, piece) {
                        Ok(Some(data)) => Ok(v1::PhotoData {
                            image: (piece == 0).then(|| (&held.photo).into()),
                            data,
                        }),
                        Ok(None) => Err(Status::aborted("the photo was erased meanwhile")),
                        Err(error) => Err(error.into()),
                    };
                    let is_last = data.is_err();
                    // Who hung up wants no more.
                    if sender.blocking_send(data).is_err() || is_last {
                        return;
                    }
                }
            });
            Ok(ReceiverStream::new(receiver).boxed())
        })
        .await
    }

    async fn clear_photo(
        &self,
        request: Request<v1::ClearPhotoRequest>,
    ) -> Result<Response<v1::ClearPhotoReply>, Status> {
        observed("ClearPhoto", async {
            let v1::ClearPhotoRequest {
                record_id: record,
                number,
            } = request.into_inner();
            let number = number.checked_sub(1);
            let number = number.ok_or_else(|| Status::invalid_argument("photos are numbered from 1"))?;
            let Cleared { place, before } = self.node.clear_photo(record_id(&record)?, number).await?;
            Ok(v1::ClearPhotoReply {
                origin: place.origin.to_string(),
                index: place.index,
                before,
            })
        })
        .await
    }
}

fn wanted(target: v1::AttachTarget) -> Result<Target, Status> {
    let v1::AttachTarget {
        draft,
        key,
        record_id: record,
    } = target;
    match (draft.is_empty(), record.is_empty()) {
        (false, true) => {
            let key: Option<[u8; 16]> = match key.len() {
                0 => None,
                16 => key.first_chunk().copied(),
                len => return Err(Status::invalid_argument(format!("a key of {len} bytes; a key has 16"))),
            };
            let key = key.map(IntakeKey::from);
            Ok(Target::New { draft, key })
        }
        (true, false) => Ok(Target::Record(record_id(&record)?)),
        _ => Err(Status::invalid_argument(
            "photos are for a draft or for a record, one of them",
        )),
    }
}

async fn files(mut parts: Streaming<v1::AttachPart>) -> Result<Vec<PhotoFile>, Status> {
    let mut files: Vec<(v1::AttachFile, BytesMut)> = Vec::new();
    let mut left = FILES_BYTES_MAX;
    while let Some(v1::AttachPart { part }) = parts.try_next().await? {
        let count = files.len();
        match (part, files.last_mut()) {
            (Some(Part::File(_)), _) if count >= FILES_MAX => {
                return Err(Status::invalid_argument(format!("more than {FILES_MAX} photos")));
            }
            (Some(Part::File(file)), _) => files.push((file, BytesMut::new())),
            (Some(Part::Data(data)), Some((_, bytes))) => {
                let rest = left.checked_sub(data.len() as u64);
                left = rest.ok_or_else(|| {
                    Status::invalid_argument(format!("more than {FILES_BYTES_MAX} bytes of photos at once"))
                })?;
                bytes.extend_from_slice(&data);
            }
            (Some(Part::Data(_)), None) => return Err(Status::invalid_argument("bytes before the file they are of")),
            (Some(Part::Target(_)), _) => return Err(Status::invalid_argument("a second target")),
            (None, _) => return Err(Status::invalid_argument("an empty part")),
        }
    }
    if files.is_empty() {
        return Err(Status::invalid_argument("no photo was handed in"));
    }
    let whole = files
        .into_iter()
        .map(|(v1::AttachFile { name, kind }, bytes)| PhotoFile {
            name,
            kind,
            bytes: bytes.freeze(),
        });
    Ok(whole.collect())
}

fn reply(attached: Attached) -> v1::AttachReply {
    let Attached { outcome, photos } = attached;
    let stripped = photos.iter().map(|photograph| {
        let Photograph {
            photo,
            removed,
            file_bytes,
            ..
        } = photograph;
        v1::Stripped {
            bytes: *file_bytes,
            kept: photo.size(),
            removed: removed.iter().map(ToString::to_string).collect(),
        }
    });
    v1::AttachReply {
        stripped: stripped.collect(),
        photos: photos.iter().map(|photograph| (&photograph.photo).into()).collect(),
        outcome: Some(convert::outcome(outcome)),
    }
}

fn shown(number: u32, held: &HeldPhoto) -> v1::HeldPhoto {
    let HeldPhoto {
        place,
        album,
        photo,
        pieces: _,
        cleared,
    } = held;
    v1::HeldPhoto {
        origin: place.origin.to_string(),
        index: place.index,
        version: album.version,
        number,
        image: Some(photo.into()),
        held: held.bytes(),
        cleared: *cleared,
    }
}
