//! The factory of an extension that others ask: every one of them is made alike.

/// Defines the factory of an extension that is made from its settings alone, by `new(&settings, &context)`.
///
/// Whoever asks such an extension (for a token, for a client, for headers) keeps the way to it over a change, so
/// every change of settings is one without state.
///
/// ```ignore
/// extension_factory! {
///     /// Makes `basicauth` extensions.
///     BasicAuthFactory: "basicauth", BasicAuthConfig => BasicAuth
/// }
/// ```
#[macro_export]
macro_rules! extension_factory {
    ($(#[$doc:meta])* $factory:ident: $name:literal, $settings:ty => $extension:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $factory;

        impl $crate::factory::Factory for $factory {
            fn descriptor(&self) -> &$crate::factory::Descriptor {
                const DESCRIPTOR: $crate::factory::Descriptor = $crate::factory::Descriptor {
                    name: $name,
                    aliases: &[],
                    signals: &[],
                    module: env!("CARGO_PKG_NAME"),
                };
                &DESCRIPTOR
            }

            fn parse(
                &self,
                section: &::phoenix_config::Node,
                problems: &mut ::phoenix_config::Problems,
            ) -> Option<$crate::factory::SharedSettings> {
                $crate::factory::parse_settings::<$settings>(section, problems)
            }

            fn change(
                &self,
                _old: &dyn $crate::factory::AnySettings,
                _new: Option<&dyn $crate::factory::AnySettings>,
            ) -> $crate::Change {
                $crate::Change::stateless()
            }

            fn shape(&self) -> ::phoenix_config::Shape {
                <$settings as ::phoenix_config::Described>::shape()
            }

            fn touches(&self, settings: &dyn $crate::factory::AnySettings) -> Vec<$crate::Touch> {
                $crate::factory::settings_of::<$settings>(settings).touches()
            }
        }

        impl $crate::factory::ExtensionFactory for $factory {
            fn create(
                &self,
                settings: &dyn $crate::factory::AnySettings,
                cx: $crate::factory::CreateContext<'_>,
            ) -> Result<::std::sync::Arc<dyn $crate::Extension>, $crate::StartError> {
                let settings = $crate::factory::settings_of::<$settings>(settings);
                Ok(::std::sync::Arc::new(<$extension>::new(settings, &cx)?))
            }
        }
    };
}
