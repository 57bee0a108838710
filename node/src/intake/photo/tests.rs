//! Good files lose what they tell and keep what they show; bad ones are refused, whatever is wrong with them.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use icomm_proto::{MediaType, photo::PHOTO_BYTES_MAX};
use proptest::prelude::*;

use super::{PhotoRefused, Photograph, orientation::Orientation, photograph};

/// What no photo may tell any more.
const PLANTED: &[u8] = b"GPS 1.2921 S 36.8219 E, camera of Synth-Mwangi";

fn taken(file: &[u8]) -> Result<Photograph, PhotoRefused> {
    photograph(file, "photo", PHOTO_BYTES_MAX)
}

fn refused(file: &[u8]) -> String {
    taken(file).expect_err("taken").to_string()
}

fn has(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &len, content].concat()
}

/// A TIFF block with an orientation, and GPS beside it.
fn exif(orientation: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x02\0".to_vec();
    tiff.extend(b"\x12\x01\x03\0\x01\0\0\0");
    tiff.extend([orientation, 0, 0, 0]);
    tiff.extend(b"\x25\x88\x04\0\x01\0\0\0\x26\0\0\0");
    tiff.extend([0; 4]);
    tiff.extend(PLANTED);
    tiff
}

/// A grey square of eight by eight pixels: what any program shows.
fn picture() -> [Vec<u8>; 5] {
    let table = [&[0][..], &[1; 64]].concat();
    let huffman = |class: u8| [&[class << 4, 1][..], &[0; 15], &[0]].concat();
    [
        segment(0xdb, &table),
        segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        segment(0xc4, &huffman(0)),
        segment(0xc4, &huffman(1)),
        // "No difference" and "end of block", filled up with ones.
        [segment(0xda, &[1, 1, 0, 0, 63, 0]), vec![0x3f]].concat(),
    ]
}

fn jpeg(before: &[Vec<u8>]) -> Vec<u8> {
    let picture = picture().concat();
    [&[0xff, 0xd8][..], &before.concat(), &picture, &[0xff, 0xd9]].concat()
}

fn telling_jpeg() -> Vec<u8> {
    let with = |head: &[u8]| [head, PLANTED].concat();
    let thumbnail = [&b"JFIF\0\x01\x01\x01\0\x48\0\x48\x02\x02"[..], &PLANTED[..12]].concat();
    let mut file = jpeg(&[
        segment(0xe0, &thumbnail),
        segment(0xe1, &[&b"Exif\0\0"[..], &exif(6)].concat()),
        segment(0xe1, &with(b"http://ns.adobe.com/xap/1.0/\0")),
        segment(0xe2, &with(b"ICC_PROFILE\0\x01\x01")),
        segment(0xe2, &with(b"MPF\0")),
        segment(0xed, &with(b"Photoshop 3.0\0")),
        segment(0xee, b"Adobe\0\x64\xab\xcd\xef\x01\x01"),
        segment(0xef, PLANTED),
        segment(0xfe, PLANTED),
        vec![0xff; 3],
    ]);
    file.extend(PLANTED);
    file
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(content);
    let len = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&len[..], kind, content, &crc.finalize().to_be_bytes()].concat()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn header(width: u32, height: u32, depth: u8, colour: u8, interlace: u8) -> Vec<u8> {
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&sizes[..], &[depth, colour, 0, 0, interlace]].concat())
}

fn png(parts: &[Vec<u8>]) -> Vec<u8> {
    [super::png::MAGIC, &parts.concat()].concat()
}

/// Five by three grey pixels.
fn rows() -> Vec<u8> {
    vec![0; 3 * 6]
}

fn telling_png() -> Vec<u8> {
    let data = deflated(&rows());
    let (first, second) = data.split_at(4);
    let mut file = png(&[
        header(5, 3, 8, 0, 0),
        chunk(b"gAMA", &45_455_u32.to_be_bytes()),
        chunk(b"pHYs", &[0; 9]),
        chunk(b"iCCP", &[&b"name\0\0"[..], &deflated(PLANTED)].concat()),
        chunk(b"tEXt", &[&b"Author\0"[..], PLANTED].concat()),
        chunk(b"eXIf", &exif(8)),
        chunk(b"prVt", PLANTED),
        chunk(b"tIME", &[7, 0xea, 11, 23, 1, 2, 3]),
        chunk(b"IDAT", first),
        chunk(b"IDAT", second),
        chunk(b"iTXt", PLANTED),
        chunk(b"eXIf", &exif(3)),
        chunk(b"IEND", &[]),
    ]);
    file.extend(PLANTED);
    file
}

#[test]
fn only_the_picture_stays() {
    for (file, media_type, size) in [
        (telling_jpeg(), MediaType::Jpeg, 200),
        (telling_png(), MediaType::Png, 200),
    ] {
        assert!(has(&file, PLANTED));
        let photo = taken(&file).unwrap();
        assert_eq!(
            (photo.photo.media_type(), photo.file_bytes),
            (media_type, file.len() as u64)
        );
        assert!(photo.bytes.len() < size + 100, "{}", photo.bytes.len());
        for from in 0..PLANTED.len() - 6 {
            assert!(!has(&photo.bytes, &PLANTED[from..from + 6]), "{media_type}: {from}");
        }
        for telling in [
            &b"http"[..],
            b"ICC",
            b"Photoshop",
            b"Author",
            b"tIME",
            b"MPF",
            b"\xab\xcd\xef",
        ] {
            assert!(!has(&photo.bytes, telling), "{media_type}: {telling:?}");
        }
        // What came out tells nothing more, and stays as it is.
        let again = taken(&photo.bytes).unwrap();
        assert_eq!((&again.bytes, again.removed), (&photo.bytes, Vec::new()));
    }
    let removed = taken(&telling_jpeg()).unwrap().removed;
    for what in [
        "preview",
        "exif",
        "xmp",
        "colour profile",
        "further pictures",
        "iptc",
        "comment",
        "bytes after the end",
    ] {
        assert!(removed.contains(&what), "{what}: {removed:?}");
    }
    let removed = taken(&telling_png()).unwrap().removed;
    for what in [
        "colour profile",
        "text",
        "exif",
        "application data",
        "time",
        "bytes after the end",
    ] {
        assert!(removed.contains(&what), "{what}: {removed:?}");
    }
}

#[test]
fn the_picture_itself_and_how_it_is_turned_stay() {
    let bytes = taken(&telling_jpeg()).unwrap().bytes;
    for part in picture() {
        assert!(has(&bytes, &part));
    }
    let orientation = |tiff: &[u8]| Orientation::read(tiff).map(Orientation::write);
    assert!(has(&bytes, &orientation(&exif(6)).unwrap()));
    assert!(
        has(&bytes, b"JFIF\0\x01\x02\x01\0\x48\0\x48\0\0"),
        "the density, no preview"
    );
    assert!(has(&bytes, b"Adobe\0\x64\0\0\0\0\x01"), "the colour transform");
    let bytes = taken(&telling_png()).unwrap().bytes;
    assert!(has(&bytes, &orientation(&exif(8)).unwrap()));
    assert!(has(&bytes, b"gAMA") && has(&bytes, b"pHYs"));
    // One that lies as it is seen needs no word.
    let upright = taken(&jpeg(&[segment(0xe1, &[&b"Exif\0\0"[..], &exif(1)].concat())])).unwrap();
    assert_eq!((upright.bytes, upright.removed), (jpeg(&[]), vec!["exif"]));
}

#[test]
fn a_file_is_what_its_content_says() {
    for (file, what) in [
        (&b"%PDF-1.7 with a photo"[..], "PDF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"MM\0*\0\0\0\x08", "TIFF"),
        (&[&[0; 128][..], b"DICM"].concat(), "DICOM"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
        (b"\0\0\0\x20ftypheic", "HEIF"),
        (b"PK\x03\x04photo.jpg", "archive"),
        (b"<svg onload='alert(1)'>", "text"),
        (b"MZ this is a program", "not known"),
        (b"", "not known"),
        (b"\xff\xd8", "not known"),
    ] {
        let refused = refused(file);
        assert!(refused.contains(what) && refused.contains("JPEG or PNG"), "{refused}");
    }
    // What begins as a picture and goes on as something else loses the rest, or is refused.
    let zip = b"PK\x03\x04 a whole archive".as_slice();
    let photo = taken(&[&jpeg(&[])[..], zip].concat()).unwrap();
    assert!(!has(&photo.bytes, b"archive"));
    assert!(refused(&[&b"\xff\xd8\xff"[..], zip].concat()).contains("no JPEG file"));
}

#[test]
fn jpegs_that_do_not_add_up_are_refused() {
    let [table, frame, dc, ac, scan] = picture();
    let end = vec![0xff, 0xd9];
    let file = |parts: &[&Vec<u8>]| {
        let parts: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        [&[0xff, 0xd8][..], &parts].concat()
    };
    assert!(taken(&file(&[&table, &frame, &dc, &ac, &scan, &end])).is_ok());
    let secret = |marker, content: &[u8]| segment(marker, &[content, PLANTED].concat());
    let frame_of = |marker, content: &[u8]| segment(marker, content);
    for (parts, what) in [
        (vec![&table, &frame, &end], "before there is a picture"),
        (vec![&table, &frame, &frame, &scan, &end], "two frames"),
        (vec![&table, &scan, &end], "not what its length says"),
        (
            vec![&secret(0xdb, &table[4..]), &frame, &scan, &end],
            "not what its length says",
        ),
        (
            vec![&secret(0xc4, &dc[4..]), &frame, &scan, &end],
            "not what its length says",
        ),
        (
            vec![&secret(0xc0, &frame[4..]), &scan, &end],
            "not what its length says",
        ),
        (
            vec![&frame, &secret(0xda, &[1, 1, 0, 0, 63, 0]), &end],
            "not what its length says",
        ),
        (
            vec![&secret(0xdd, &[0, 1]), &frame, &scan, &end],
            "not what its length says",
        ),
        (vec![&frame_of(0xc9, &frame[4..]), &scan, &end], "hardly any program"),
        (vec![&frame_of(0xc3, &frame[4..]), &scan, &end], "hardly any program"),
        (vec![&table, &frame, &scan], "cut short"),
        (vec![&table, &frame, &b"text".to_vec(), &scan, &end], "no marker"),
        (vec![&vec![0xff, 0xd0], &end], "no place"),
        (vec![&vec![0xff, 0xe1, 0, 1], &end], "no length"),
        (
            vec![&frame_of(0xc0, &[8, 0, 8, 0, 0, 1, 1, 0x11, 0]), &scan, &end],
            "0 by 8 pixels",
        ),
        (
            vec![&frame_of(0xc0, &[8, 0xff, 0xff, 0, 9, 1, 1, 0x11, 0]), &scan, &end],
            "9 by 65535 pixels",
        ),
        (
            vec![&frame_of(0xc2, &[8, 0x40, 0, 0x40, 0, 1, 1, 0x11, 0]), &scan, &end],
            "16384 by 16384 pixels",
        ),
    ] {
        let refused = refused(&file(&parts));
        assert!(refused.contains(what), "{what}: {refused}");
    }
    let scans = vec![&scan; 101];
    let many = file(&[&[&table, &frame, &dc, &ac][..], &scans, &[&end]].concat());
    assert!(refused(&many).contains("more scans"));
    let whole = jpeg(&[]);
    for end in 3..whole.len() {
        assert!(taken(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn pngs_that_do_not_add_up_are_refused() {
    let data = |bytes: &[u8]| chunk(b"IDAT", &deflated(bytes));
    let (head, right, end) = (header(5, 3, 8, 0, 0), data(&rows()), chunk(b"IEND", &[]));
    let behind = chunk(b"IDAT", &[&deflated(&rows())[..], PLANTED].concat());
    let damaged = {
        let mut chunk = right.clone();
        *chunk.last_mut().unwrap() ^= 1;
        chunk
    };
    let bomb = data(&vec![0; 50 << 20]);
    assert!(bomb.len() < 60 << 10, "it is one");
    for (parts, what) in [
        (vec![&right, &end], "begin with its header"),
        (vec![&head, &end], "before its picture does"),
        (vec![&head, &right], "cut short"),
        (vec![&head, &right, &end, &head][..1].to_vec(), "cut short"),
        (vec![&head, &head, &right, &end], "not known here"),
        (vec![&head, &data(&rows()[1..]), &end], "before its picture does"),
        (vec![&head, &data(&[0; 19]), &end], "more than its header"),
        (vec![&head, &bomb, &end], "more than its header"),
        (vec![&head, &behind, &end], "behind its picture"),
        (vec![&head, &right, &right, &end], "behind its picture"),
        (vec![&head, &chunk(b"IDAT", b"no deflate"), &end], "damaged"),
        (vec![&head, &damaged, &end], "damaged"),
        (vec![&head, &chunk(b"CGBI", &[]), &right, &end], "not known here"),
        (vec![&head, &chunk(b"PLTE", &[1, 2, 3]), &right, &end], "palette"),
        (vec![&head, &chunk(b"tRNS", &[1, 2, 3]), &right, &end], "transparency"),
        (vec![&head, &right, &chunk(b"IEND", PLANTED)], "before its picture does"),
        (vec![&header(0, 3, 8, 0, 0), &right, &end], "0 by 3 pixels"),
        (vec![&header(20_000, 20_000, 8, 0, 0), &right, &end], "20000 by 20000"),
        (vec![&header(5, 3, 4, 2, 0), &right, &end], "begin with its header"),
        (vec![&header(5, 3, 8, 0, 2), &right, &end], "begin with its header"),
    ] {
        let parts: Vec<Vec<u8>> = parts.into_iter().cloned().collect();
        let refused = refused(&png(&parts));
        assert!(refused.contains(what), "{what}: {refused}");
    }
    // Between two parts of the picture nothing stands.
    let deflated = deflated(&rows());
    let (first, second) = deflated.split_at(5);
    let parts = [
        head,
        chunk(b"IDAT", first),
        chunk(b"tEXt", PLANTED),
        chunk(b"IDAT", second),
        end,
    ];
    assert!(refused(&png(&parts)).contains("in two parts"));
    let whole = telling_png();
    let end = whole.len() - PLANTED.len();
    for end in 8..end {
        assert!(taken(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_picture_inflates_to_what_its_header_says_whatever_its_form() {
    // Width, height, depth, colour, interlace: bytes, as counted by hand.
    for (width, height, depth, colour, interlace, bytes) in [
        (5, 3, 8, 0, 0, 3 * 6),
        (5, 3, 1, 3, 0, 3 * 2),
        (5, 3, 16, 6, 0, 3 * 41),
        (1, 1, 8, 2, 1, 4),
        (8, 8, 8, 0, 1, 2 + 2 + 3 + 2 * 3 + 2 * 5 + 4 * 5 + 4 * 9),
    ] {
        let mut parts = vec![header(width, height, depth, colour, interlace)];
        if colour == 3 {
            parts.push(chunk(b"PLTE", &[0; 6]));
        }
        let with = |bytes: usize| {
            let mut parts = parts.clone();
            parts.push(chunk(b"IDAT", &deflated(&vec![0; bytes])));
            parts.push(chunk(b"IEND", &[]));
            taken(&png(&parts)).is_ok()
        };
        assert!(with(bytes), "{width} {height} {depth} {colour} {interlace}");
        assert!(!with(bytes - 1) && !with(bytes + 1));
    }
}

#[test]
fn a_file_larger_than_the_limit_is_refused_before_it_is_looked_at() {
    let file = telling_jpeg();
    let error = photograph(&file, "photo", file.len() as u64 - 1).unwrap_err();
    assert!(error.to_string().contains("the most allowed is"), "{error}");
    assert!(photograph(&file, "photo", file.len() as u64).is_ok());
}

proptest! {
    /// Whatever is done to a file: it is refused, or what comes out of it comes out of it again.
    #[test]
    fn mangled_files_are_refused_or_come_out_whole(
        is_jpeg in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        twice in any::<bool>(),
    ) {
        let mut file = if is_jpeg { telling_jpeg() } else { telling_png() };
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            let at = cut.index(file.len());
            let rest = file.split_off(at);
            if twice {
                file.extend_from_slice(&rest);
                file.extend_from_slice(&rest);
            }
        }
        if let Ok(photo) = taken(&file) {
            let again = taken(&photo.bytes);
            prop_assert_eq!(again.map(|again| again.bytes), Ok(photo.bytes));
        }
    }

    #[test]
    fn noise_never_panics(head in 0..4usize, noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let heads = [&b""[..], b"\xff\xd8\xff", super::png::MAGIC, b"\xff\xd8\xff\xda\0\x08"];
        if let Ok(photo) = taken(&[heads[head], &noise].concat()) {
            prop_assert!(taken(&photo.bytes).is_ok());
        }
    }
}
