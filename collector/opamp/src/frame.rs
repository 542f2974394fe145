//! Frames over WebSocket: a header, which is zero, and the message.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;

/// Why a frame is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The header says something that this version does not know.
    #[error("the header of the frame is not zero")]
    Header,
    /// What follows is not the message.
    #[error("malformed message: {0}")]
    Message(#[from] prost::DecodeError),
    /// Longer than [`crate::MAX_MESSAGE_BYTES`].
    #[error("a message of {0} bytes is larger than allowed")]
    TooLarge(usize),
}

/// Reads a binary frame. As the reference implementation does, it takes one without a header, too: a message never
/// begins with a zero.
///
/// # Errors
/// Where it holds no message.
pub fn decode_frame<M: Message + Default>(frame: &[u8]) -> Result<M, FrameError> {
    if frame.len() > crate::MAX_MESSAGE_BYTES {
        return Err(FrameError::TooLarge(frame.len()));
    }
    match frame {
        [0, message @ ..] => Ok(M::decode(message)?),
        // Fields of one byte begin at 8; what is below is a header of another version.
        [1..=7, ..] | [] => Err(FrameError::Header),
        message => Ok(M::decode(message)?),
    }
}

/// Writes a binary frame.
pub fn encode_frame(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(1 + message.encoded_len());
    frame.put_u8(0);
    // A buffer that grows takes all of it.
    frame.put(message.encode_to_vec().as_slice());
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AgentToServer;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let message =
            AgentToServer { instance_uid: vec![7; 16], sequence_num: 300, ..AgentToServer::default() };
        let frame = encode_frame(&message);
        assert_eq!(frame[0], 0);
        assert_eq!(decode_frame::<AgentToServer>(&frame), Ok(message.clone()));
        assert_eq!(decode_frame::<AgentToServer>(&frame[1..]), Ok(message), "without a header");
        assert_eq!(decode_frame::<AgentToServer>(&[0]), Ok(AgentToServer::default()), "an empty message");
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for frame in [&[][..], &[1], &[1, 10, 1, 0], &[7]] {
            assert_eq!(decode_frame::<AgentToServer>(frame), Err(FrameError::Header), "{frame:?}");
        }
        for frame in [&[0x80][..], &[0, 0x0a, 5, 1], &[0, 0xff]] {
            assert!(matches!(decode_frame::<AgentToServer>(frame), Err(FrameError::Message(_))), "{frame:?}");
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        // Field 999 as a text, then the sequence number.
        let frame = [0, 0xba, 0x3e, 2, b'h', b'i', 0x10, 5];
        assert_eq!(decode_frame::<AgentToServer>(&frame).map(|message| message.sequence_num), Ok(5));
    }

    #[test]
    fn nesting_has_a_bound() {
        let mut health = crate::ComponentHealth::default();
        for _ in 0..200 {
            let mut outer = crate::ComponentHealth::default();
            outer.component_health_map.insert("x".into(), health);
            health = outer;
        }
        let message = AgentToServer { health: Some(health), ..AgentToServer::default() };
        assert!(matches!(
            decode_frame::<AgentToServer>(&encode_frame(&message)),
            Err(FrameError::Message(_))
        ));
    }
}
