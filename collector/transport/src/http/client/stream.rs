//! Answers that are read as they come.

use std::io;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::exchange::dial;
use super::{Client, Destination, SendError};

/// An answer whose body may have no end, such as that of a watch.
#[derive(Debug)]
pub struct Stream {
    status: StatusCode,
    body: Incoming,
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line break.
    searched: usize,
}

impl Client {
    /// Gets what is at `destination` as it comes, over HTTP/1.1 on a connection of its own, which ends with the result. `headers` come
    /// on top of the client's own, which win. The time limit of requests does not cover it.
    ///
    /// # Errors
    /// Where there is no answer; any answer, whatever its status, is no error.
    pub async fn stream(&self, destination: &Destination, headers: &HeaderMap) -> Result<Stream, SendError> {
        let shared = &*self.0;
        let target = || destination.target.clone();
        let connect = |source| SendError::Connect { target: target(), source };
        let exchange = |error: hyper::Error| connect(io::Error::other(error));
        let socket = dial(destination, &shared.options).await.map_err(connect)?;
        let (mut send, connection) =
            http1::handshake::<_, Empty<Bytes>>(TokioIo::new(socket)).await.map_err(exchange)?;
        // It ends with the body, or when that is dropped.
        tokio::spawn(connection);
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::GET;
        let path = destination.uri.path_and_query().cloned();
        *request.uri_mut() = path.map(Into::into).unwrap_or_default();
        let all = request.headers_mut();
        for (name, value) in headers.iter().filter(|(name, _)| !shared.headers.contains_key(*name)) {
            all.append(name.clone(), value.clone());
        }
        all.extend(shared.headers.clone());
        all.insert(HOST, destination.host.clone());
        let (head, body) = send.send_request(request).await.map_err(exchange)?.into_parts();
        Ok(Stream { status: head.status, body, buffer: BytesMut::new(), searched: 0 })
    }
}

impl Stream {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The next line, without its break; none at the end.
    ///
    /// # Errors
    /// Where the connection breaks, or a line is longer than `most` bytes.
    pub async fn line(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(Some(line.slice(..line.len() - 1)));
            }
            self.searched = self.buffer.len();
            if self.searched > most {
                return Err(io::Error::other(format!("a line of the answer is longer than {most} bytes")));
            }
            if !self.read().await? {
                self.searched = 0;
                let rest = self.buffer.split().freeze();
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
        }
    }

    /// All of the body.
    ///
    /// # Errors
    /// Where the connection breaks, or the body is longer than `most` bytes.
    pub async fn whole(mut self, most: usize) -> io::Result<Bytes> {
        while self.read().await? {
            if self.buffer.len() > most {
                return Err(io::Error::other(format!("the answer is longer than {most} bytes")));
            }
        }
        Ok(self.buffer.freeze())
    }

    /// Reads more; false at the end.
    async fn read(&mut self) -> io::Result<bool> {
        match self.body.frame().await {
            None => Ok(false),
            Some(frame) => {
                if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
                Ok(true)
            }
        }
    }
}
