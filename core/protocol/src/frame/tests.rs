use bytes::BytesMut;

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn json_frame(header: &str, body: &[u8]) -> Vec<u8> {
    let mut frame = ((4 + header.len() + body.len()) as u32).to_be_bytes().to_vec();
    frame.extend((header.len() as u32).to_be_bytes());
    frame.extend(header.as_bytes());
    frame.extend(body);
    frame
}

/// What a Java producer sends; the properties hold escapes.
const JAVA_SEND: &str = r#"{"code":310,"extFields":{"a":"PG","b":"T1","c":"TBW102","d":"4","e":"0","f":"0","g":"1700000000000","h":"0","i":"UNIQ_KEY\u00017F00000100002A139A5500000000000A\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002","j":"0","k":"false","m":"false","n":"broker-a"},"flag":0,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":479}"#;

#[test]
fn a_json_response_has_javas_bytes() {
    let header =
        r#"{"code":0,"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":401}"#;
    let mut head = Head::response_to(Serialization::Json, 7, ResponseCode::Success);
    head.version = 401;
    let mut out = Vec::new();
    assert_eq!(encode_command(&mut out, &head, &(), 0), Ok(103));
    assert_eq!(out, [&unhex("000000630000005f")[..], header.as_bytes()].concat());

    let mut scratch = HeaderScratch::new();
    let command = Command::decode(&out, &mut scratch).unwrap();
    assert_eq!((command.code, command.opaque, command.version), (0, 7, 401));
    assert!(command.is_response() && !command.is_oneway() && command.fields.is_empty());
    assert_eq!(command.response_code(), Some(ResponseCode::Success));
}

#[test]
fn a_binary_request_has_the_reference_clients_bytes() {
    let golden = unhex(
        "0000003401000030001e09013d0000000700000000000000000000001b0005746f7069630000000254310007717565756549640000000130",
    );
    let mut scratch = HeaderScratch::new();
    let command = Command::decode(&golden, &mut scratch).unwrap();
    assert_eq!((command.request_code(), command.language), (Some(RequestCode::GetMaxOffset), Language::Go));
    assert_eq!((command.version, command.opaque, command.flag), (317, 7, 0));
    assert_eq!(command.fields.iter().collect::<Vec<_>>(), [("topic", "T1"), ("queueId", "0")]);
    assert_eq!((command.remark, command.body), (None, &b""[..]));

    let mut head = Head::request(RequestCode::GetMaxOffset, 7);
    (head.serialization, head.language, head.version) = (Serialization::Binary, Language::Go, 317);
    let mut out = BytesMut::new();
    encode_command(&mut out, &head, &command.fields, 0).unwrap();
    assert_eq!(out, golden);
}

#[test]
fn a_java_send_is_read_and_written_back_to_the_same_bytes() {
    let frame = json_frame(JAVA_SEND, b"hello");
    let mut scratch = HeaderScratch::new();
    let command = Command::decode(&frame, &mut scratch).unwrap();
    assert_eq!((command.request_code(), command.body), (Some(RequestCode::SendMessageV2), &b"hello"[..]));
    assert_eq!(command.fields.len(), 13);
    assert_eq!(
        command.fields.find("i"),
        Some("UNIQ_KEY\x017F00000100002A139A5500000000000A\x02WAIT\x01true\x02TAGS\x01TagA\x02")
    );
    assert_eq!((command.fields.find("n"), command.fields.find("o")), (Some("broker-a"), None));
    let mut out = Vec::new();
    encode_with_body(&mut out, &Head::request(RequestCode::SendMessageV2, 7), &command.fields, b"hello")
        .unwrap();
    assert_eq!(out, frame);
}

#[test]
fn every_cut_of_a_frame_asks_for_more() {
    let limits = FrameLimits::default();
    let binary = {
        let mut out = Vec::new();
        let mut head = Head::request(RequestCode::PullMessage, 1).with_remark("why");
        head.serialization = Serialization::Binary;
        encode_with_body(&mut out, &head, &[("topic", "T1")], b"body").unwrap();
        out
    };
    for frame in [json_frame(JAVA_SEND, b"hello"), binary] {
        for cut in 0..frame.len() {
            assert_eq!(frame_len(&frame[..cut], &limits), Ok(None), "cut at {cut}");
            assert!(Command::decode(&frame[..cut], &mut HeaderScratch::new()).is_err());
        }
        assert_eq!(frame_len(&frame, &limits), Ok(Some(frame.len())));
        assert_eq!(frame_len(&[&frame[..], b"next"].concat(), &limits), Ok(Some(frame.len())));
    }
}

#[test]
fn every_cut_of_a_header_is_an_error_and_never_a_panic() {
    let mut scratch = HeaderScratch::new();
    for cut in 0..JAVA_SEND.len() {
        let frame = json_frame(&JAVA_SEND[..cut], b"");
        assert!(Command::decode(&frame, &mut scratch).is_err(), "cut at {cut}");
    }
    let header = unhex(
        "001e09013d0000000700000000000000000000001b0005746f7069630000000254310007717565756549640000000130",
    );
    for cut in 0..header.len() {
        let mut frame = ((4 + cut) as u32).to_be_bytes().to_vec();
        frame.extend([1, 0, 0, cut as u8]);
        frame.extend(&header[..cut]);
        assert!(Command::decode(&frame, &mut scratch).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_bad_frame_is_refused_as_soon_as_it_shows() {
    let limits = FrameLimits { max_frame: 1000, max_header: 100 };
    let case = |hex: &str| frame_len(&unhex(hex), &limits).unwrap_err();
    assert_eq!(case("ffffffff"), FrameError::BadLength(-1));
    assert_eq!(case("00000003"), FrameError::BadLength(3));
    assert_eq!(case("000003e5"), FrameError::TooLarge { len: 1001, limit: 1000 });
    assert_eq!(case("0000006002"), FrameError::UnknownSerialization(2));
    assert_eq!(case("000000ff00000065"), FrameError::HeaderTooLarge { len: 101, limit: 100 });
    assert_eq!(case("0000001400000011"), FrameError::HeaderBeyondFrame { header: 17, room: 16 });
    assert_eq!(frame_len(&unhex("000003e4"), &limits), Ok(None));
    assert_eq!(frame_len(&unhex("0000001400000010"), &limits), Ok(None));
    // An attempt at TLS, or at HTTP, on a port that has none.
    for text in [&b"\x16\x03\x01\x02"[..], b"GET / HTTP/1.1"] {
        assert!(matches!(frame_len(text, &limits), Err(FrameError::TooLarge { .. })));
    }
}

#[track_caller]
fn read(header: &str, check: impl FnOnce(Command<'_>)) {
    let frame = json_frame(header, b"");
    let mut scratch = HeaderScratch::new();
    match Command::decode(&frame, &mut scratch) {
        Ok(command) => check(command),
        Err(error) => panic!("{header}: {error}"),
    }
}

#[test]
fn what_clients_may_leave_out_or_write_differently_is_accepted() {
    read("{}", |c| {
        assert_eq!((c.code, c.language, c.version, c.opaque, c.flag), (0, Language::Java, 0, 0, 0));
    });
    read(
        " {\n \"version\" : 1 , \"remark\" : null ,\t\"extFields\" : { \"a\" : \"1\" , \"b\" : \"2\" } } ",
        |c| {
            assert_eq!((c.version, c.remark), (1, None));
            assert_eq!(c.fields.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        },
    );
    read(
        r#"{"extFields":{"n":-12,"f":1.5e3,"t":true,"x":null,"o":{"a":["}"]},"l":[],"e":""},"code":"11"}"#,
        |c| {
            assert_eq!(c.code, 11);
            assert_eq!(
                c.fields.iter().collect::<Vec<_>>(),
                [
                    ("n", "-12"),
                    ("f", "1.5e3"),
                    ("t", "true"),
                    ("o", r#"{"a":["}"]}"#),
                    ("l", "[]"),
                    ("e", "")
                ]
            );
        },
    );
    read(
        r#"{"extFields":null,"language":null,"code":null,"hop":{"a":[{}," \" } \\"]},"zip":[1,[2]],"flag":2}"#,
        |c| {
            assert!(c.fields.is_empty() && c.is_oneway());
        },
    );
    read(r#"{"language":"GO","opaque":-5}"#, |c| assert_eq!((c.language, c.opaque), (Language::Go, -5)));
    read(r#"{"language":"COBOL"}"#, |c| assert_eq!(c.language, Language::Other));
    read(r#"{"language":13}"#, |c| assert_eq!(c.language, Language::NodeJs));
    read(r#"{"extFields":{"a":"1","a":"2"}}"#, |c| assert_eq!(c.fields.find("a"), Some("2")));
    read(r#"{"\u0063ode":7}"#, |c| assert_eq!(c.code, 7));
    read("{\"remark\":\"line\nand \x01 raw\"}", |c| assert_eq!(c.remark, Some("line\nand \x01 raw")));
}

#[test]
fn escapes_become_what_they_stand_for() {
    read(
        r#"{"remark":"\"\\\/\b\f\n\r\t\u00e4\u4E2d\uD83D\uDE00 äöü and much more 中文 behind \u0001","extFields":{"\u0001":"\u0002"}}"#,
        |c| {
            assert_eq!(c.remark, Some("\"\\/\u{8}\u{c}\n\r\tä中😀 äöü and much more 中文 behind \u{1}"));
            assert_eq!(c.fields.find("\u{1}"), Some("\u{2}"));
        },
    );
    // Half a surrogate pair has no UTF-8.
    read(r#"{"remark":"a\uD83Db\uDE00\uD83D\u0041\uD83D"}"#, |c| {
        assert_eq!(c.remark, Some("a\u{fffd}b\u{fffd}\u{fffd}A\u{fffd}"));
    });
}

#[test]
fn what_is_no_header_is_refused() {
    let deep = format!("{{\"x\":{}", "[".repeat(MAX_DEPTH + 1));
    let many = format!(
        "{{\"extFields\":{{{}}}}}",
        (0..=MAX_FIELDS).map(|i| format!("\"k{i}\":\"\"")).collect::<Vec<_>>().join(",")
    );
    for header in [
        "",
        "null",
        "[]",
        "{}x",
        "{} {}",
        "{,}",
        r#"{"code":1,}"#,
        r#"{"code":1.5}"#,
        r#"{"code":99999999999}"#,
        r#"{"code":}"#,
        r#"{"code":maybe}"#,
        r#"{"code":{}}"#,
        r#"{"opaque":"x"}"#,
        r#"{"extFields":[]}"#,
        r#"{"extFields":"a"}"#,
        r#"{"extFields":{"a":}}"#,
        r#"{"extFields":{"a" "b"}}"#,
        r#"{"remark":"\x"}"#,
        r#"{"remark":"\u12"}"#,
        r#"{"remark":"\u+123"}"#,
        r#"{"remark":"\"}"#,
        r#"{"x":[}]}"#,
        &deep,
        &many,
    ] {
        let frame = json_frame(header, b"");
        assert!(Command::decode(&frame, &mut HeaderScratch::new()).is_err(), "{header}");
    }
    let mut frame = json_frame(r#"{"remark":"xx"}"#, b"");
    let at = frame.len() - 4;
    frame[at] = 0xC3;
    assert_eq!(Command::decode(&frame, &mut HeaderScratch::new()), Err(FrameError::NotUtf8));
}

#[test]
fn a_scratch_that_was_used_before_leaks_nothing_into_the_next_command() {
    let mut scratch = HeaderScratch::new();
    let long = json_frame(JAVA_SEND, b"");
    let short = json_frame(r#"{"extFields":{"a":"\u0001b"}}"#, b"");
    let broken = json_frame(r#"{"extFields":{"a":"\u0001b""#, b"");
    for _ in 0..3 {
        assert_eq!(Command::decode(&long, &mut scratch).unwrap().fields.len(), 13);
        let command = Command::decode(&short, &mut scratch).unwrap();
        assert_eq!(command.fields.iter().collect::<Vec<_>>(), [("a", "\u{1}b")]);
        assert!(Command::decode(&broken, &mut scratch).is_err());
    }
}

#[test]
fn binary_nulls_are_absent_and_bad_texts_are_refused() {
    let header = |fields: &[u8]| {
        let mut header = unhex("000a0001df000000070000000000000000");
        header.extend((fields.len() as u32).to_be_bytes());
        header.extend(fields);
        let mut frame = ((4 + header.len()) as u32).to_be_bytes().to_vec();
        frame.extend([1, 0, 0, header.len() as u8]);
        frame.extend(header);
        frame
    };
    let frame = header(b"\0\x01a\0\0\0\0\0\0\0\0\0\x01x\0\x01b\0\0\0\x02\xC3\xA4");
    let mut scratch = HeaderScratch::new();
    let command = Command::decode(&frame, &mut scratch).unwrap();
    assert_eq!(command.fields.iter().collect::<Vec<_>>(), [("b", "ä")]);
    let frame = header(b"\0\x01b\0\0\0\x02\xC3A");
    assert_eq!(Command::decode(&frame, &mut scratch), Err(FrameError::NotUtf8));
    // A character must not be split between a name and its value.
    let frame = header(b"\0\x01\xC3\0\0\0\x01\xA4");
    assert_eq!(Command::decode(&frame, &mut scratch), Err(FrameError::NotUtf8));
    let frame = header(b"\0\x01b\xFF\xFF\xFF\xFFA");
    assert!(matches!(Command::decode(&frame, &mut scratch), Err(FrameError::Malformed { .. })));
}

#[test]
fn codes_beyond_16_bits_are_written_as_json() {
    let mut head = Head::request(RequestCode::PopMessage, 1);
    head.serialization = Serialization::Binary;
    let mut out = Vec::new();
    encode_command(&mut out, &head, &(), 0).unwrap();
    let mut scratch = HeaderScratch::new();
    let command = Command::decode(&out, &mut scratch).unwrap();
    assert_eq!((command.serialization, command.code), (Serialization::Json, 200_050));
}

#[test]
fn a_frame_that_lengths_cannot_say_is_refused_and_leaves_the_buffer_alone() {
    let mut out = b"before".to_vec();
    let head = Head::request(RequestCode::SendMessage, 1);
    assert!(encode_command(&mut out, &head, &(), i32::MAX as usize).is_err());
    assert!(encode_command(&mut out, &head.with_remark(&"x".repeat(1 << 24)), &(), 0).is_err());
    assert_eq!(out, b"before");
}

mod random {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn heads()(
            code in any::<i16>(),
            byte in 0u8..14,
            version in any::<i16>(),
            opaque in any::<i32>(),
            flag in any::<i32>(),
            remark in proptest::option::of(".{1,40}"),
        ) -> (Head<'static>, Option<String>) {
            let head = Head {
                serialization: Serialization::Json,
                code: code.into(),
                language: Language::from_byte(byte),
                version: version.into(),
                opaque,
                flag,
                remark: None,
            };
            (head, remark)
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{1,30}", "[\\x00-\\x20\"\\\\/a中😀\u{7f}\u{fffd}]{1,30}", ".{1,60}"]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (head, remark) in heads(),
            fields in proptest::collection::vec((texts(), texts()), 0..20),
            body in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            for serialization in [Serialization::Json, Serialization::Binary] {
                let head = Head { serialization, remark: remark.as_deref(), ..head };
                let mut out = b"before".to_vec();
                let len = encode_with_body(&mut out, &head, &fields[..], &body).unwrap();
                let frame = &out[6..];
                prop_assert_eq!(frame_len(frame, &FrameLimits::default()), Ok(Some(len)));
                let mut scratch = HeaderScratch::new();
                let command = Command::decode(frame, &mut scratch).unwrap();
                prop_assert_eq!(command.serialization, serialization);
                prop_assert_eq!((command.code, command.language), (head.code, head.language));
                prop_assert_eq!((command.version, command.opaque), (head.version, head.opaque));
                prop_assert_eq!((command.flag, command.remark), (head.flag, head.remark));
                prop_assert_eq!(command.body, &body[..]);
                let read: Vec<_> = command.fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                prop_assert_eq!(read, fields.clone());
            }
        }

        #[test]
        fn json_agrees_with_a_parser_that_builds_a_tree(
            fields in proptest::collection::btree_map(texts(), texts(), 0..20),
            ascii in any::<bool>(),
        ) {
            let mut header = serde_json::json!({ "code": 10, "extFields": fields }).to_string();
            if ascii {
                // As writers do that escape all that is not ASCII, in pairs of surrogates where needed.
                let mut units = [0; 2];
                header = header.chars().map(|c| match c {
                    ' '..='~' => c.to_string(),
                    _ => c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04X}")).collect(),
                }).collect();
            }
            let frame = json_frame(&header, b"");
            let mut scratch = HeaderScratch::new();
            let command = Command::decode(&frame, &mut scratch).unwrap();
            let read: Vec<_> = command.fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(read, fields.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn a_header_with_any_bytes_changed_never_panics(
            changes in proptest::collection::vec((0..JAVA_SEND.len(), any::<u8>()), 1..6),
            binary in any::<bool>(),
        ) {
            let mut frame = json_frame(JAVA_SEND, b"");
            if binary {
                let mut scratch = HeaderScratch::new();
                let command = Command::decode(&frame, &mut scratch).unwrap();
                let mut out = Vec::new();
                let mut head = Head::request(RequestCode::SendMessageV2, 7);
                head.serialization = Serialization::Binary;
                encode_command(&mut out, &head, &command.fields, 0).unwrap();
                frame = out;
            }
            for (at, byte) in changes {
                let at = PREFIX_LEN + at % (frame.len() - PREFIX_LEN);
                frame[at] = byte;
            }
            let mut scratch = HeaderScratch::new();
            if let Ok(command) = Command::decode(&frame, &mut scratch) {
                for text in command.fields.iter().flat_map(|(n, v)| [n, v]).chain(command.remark) {
                    prop_assert!(std::str::from_utf8(text.as_bytes()).is_ok());
                }
            }
        }
    }
}
