use phoenix_attributes::{Actions, List};
use phoenix_component::{Batch, ClientInfo, Dropped, Refusal, Transform};
use phoenix_pdata::wire::Fields;
use phoenix_pdata::{Rewriter, rewrite, walk};

/// The field of the resource of an entry, and that of the attributes of a resource.
const RESOURCE: u32 = 1;
const ATTRIBUTES: u32 = 1;

/// The processor of one pipeline.
#[derive(Debug)]
pub(crate) struct ResourceProcessor {
    pub(crate) actions: Actions,
}

impl ResourceProcessor {
    /// A piece of a request with the changes, or none if there are none.
    fn change(&self, piece: &[u8], client: Option<&ClientInfo>) -> Option<Vec<u8>> {
        let mut rewriter = Rewriter::new(piece);
        let mut list = List::default();
        walk::resources(&mut rewriter, |rewriter, entry| {
            match Fields::new(entry.body).find(|field| field.is_len(RESOURCE)) {
                Some(resource) => self.actions.apply(&mut list, rewriter, &resource, ATTRIBUTES, client),
                None => self.actions.apply_to_none(&mut list, rewriter, RESOURCE, ATTRIBUTES, client),
            }
        });
        rewriter.finish()
    }
}

impl Transform for ResourceProcessor {
    fn apply(&self, mut batch: Batch, _dropped: &mut Dropped) -> Result<Option<Batch>, Refusal> {
        let client = batch.client.as_deref();
        batch.payload = rewrite(batch.payload, |piece| self.change(piece, client));
        Ok(Some(batch))
    }
}
