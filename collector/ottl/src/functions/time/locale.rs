//! Names of months and days in other languages than English, as the Unicode CLDR has them.

/// The names of one language.
#[derive(Debug)]
pub struct Locale {
    language: &'static str,
    /// Space-separated, from January on; as they stand in a date.
    months: &'static str,
    short_months: &'static str,
    /// From Sunday on.
    days: &'static str,
    short_days: &'static str,
}

impl Locale {
    /// Finds the language of a BCP 47 tag such as `de` or `pt-BR`. English is `Some(None)`: its names are
    /// there without a table.
    pub fn named(tag: &str) -> Option<Option<&'static Self>> {
        let language = tag.split(['-', '_']).next()?.to_ascii_lowercase();
        match language.as_str() {
            "en" => Some(None),
            // Norwegian goes by its written forms.
            "no" | "nn" => Self::of("nb").map(Some),
            language => Self::of(language).map(Some),
        }
    }

    fn of(language: &str) -> Option<&'static Self> {
        LOCALES.iter().find(|locale| locale.language == language)
    }

    /// Finds a month at the beginning of a text: its index from 0, and what follows.
    pub fn month<'t>(&self, text: &'t str, long: bool) -> Option<(usize, &'t str)> {
        find(text, if long { self.months } else { self.short_months })
    }

    /// Finds a day of the week at the beginning of a text: its index from Sunday, and what follows.
    pub fn weekday<'t>(&self, text: &'t str, long: bool) -> Option<(usize, &'t str)> {
        find(text, if long { self.days } else { self.short_days })
    }
}

/// Finds the longest name that a text begins with, whatever its case; the point of an abbreviation may be
/// left out.
fn find<'t>(text: &'t str, names: &str) -> Option<(usize, &'t str)> {
    let mut best: Option<(usize, &str)> = None;
    for (index, name) in names.split(' ').enumerate() {
        let rest = match name.strip_suffix('.') {
            Some(bare) => after(text, bare).map(|rest| rest.strip_prefix('.').unwrap_or(rest)),
            None => after(text, name),
        };
        if let Some(rest) = rest
            && best.is_none_or(|(_, shorter)| rest.len() < shorter.len())
        {
            best = Some((index, rest));
        }
    }
    best
}

/// What follows a name at the beginning of a text.
fn after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = text.chars();
    for expected in name.chars() {
        let character = rest.next()?;
        if character != expected && !character.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    Some(rest.as_str())
}

const LOCALES: [Locale; 17] = [
    Locale {
        language: "cs",
        months: "ledna února března dubna května června července srpna září října listopadu prosince",
        short_months: "led úno bře dub kvě čvn čvc srp zář říj lis pro",
        days: "neděle pondělí úterý středa čtvrtek pátek sobota",
        short_days: "ne po út st čt pá so",
    },
    Locale {
        language: "da",
        months: "januar februar marts april maj juni juli august september oktober november december",
        short_months: "jan. feb. mar. apr. maj jun. jul. aug. sep. okt. nov. dec.",
        days: "søndag mandag tirsdag onsdag torsdag fredag lørdag",
        short_days: "søn. man. tirs. ons. tors. fre. lør.",
    },
    Locale {
        language: "de",
        months: "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        short_months: "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
        days: "Sonntag Montag Dienstag Mittwoch Donnerstag Freitag Samstag",
        short_days: "So. Mo. Di. Mi. Do. Fr. Sa.",
    },
    Locale {
        language: "es",
        months: "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        short_months: "ene feb mar abr may jun jul ago sept oct nov dic",
        days: "domingo lunes martes miércoles jueves viernes sábado",
        short_days: "dom lun mar mié jue vie sáb",
    },
    Locale {
        language: "fi",
        months: "tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta syyskuuta lokakuuta marraskuuta joulukuuta",
        short_months: "tammik. helmik. maalisk. huhtik. toukok. kesäk. heinäk. elok. syysk. lokak. marrask. jouluk.",
        days: "sunnuntaina maanantaina tiistaina keskiviikkona torstaina perjantaina lauantaina",
        short_days: "su ma ti ke to pe la",
    },
    Locale {
        language: "fr",
        months: "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        short_months: "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
        days: "dimanche lundi mardi mercredi jeudi vendredi samedi",
        short_days: "dim. lun. mar. mer. jeu. ven. sam.",
    },
    Locale {
        language: "it",
        months: "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        short_months: "gen feb mar apr mag giu lug ago set ott nov dic",
        days: "domenica lunedì martedì mercoledì giovedì venerdì sabato",
        short_days: "dom lun mar mer gio ven sab",
    },
    Locale {
        language: "ja",
        months: "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
        short_months: "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
        days: "日曜日 月曜日 火曜日 水曜日 木曜日 金曜日 土曜日",
        short_days: "日 月 火 水 木 金 土",
    },
    Locale {
        language: "ko",
        months: "1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월",
        short_months: "1월 2월 3월 4월 5월 6월 7월 8월 9월 10월 11월 12월",
        days: "일요일 월요일 화요일 수요일 목요일 금요일 토요일",
        short_days: "일 월 화 수 목 금 토",
    },
    Locale {
        language: "nb",
        months: "januar februar mars april mai juni juli august september oktober november desember",
        short_months: "jan. feb. mars apr. mai juni juli aug. sep. okt. nov. des.",
        days: "søndag mandag tirsdag onsdag torsdag fredag lørdag",
        short_days: "søn. man. tir. ons. tor. fre. lør.",
    },
    Locale {
        language: "nl",
        months: "januari februari maart april mei juni juli augustus september oktober november december",
        short_months: "jan. feb. mrt. apr. mei jun. jul. aug. sep. okt. nov. dec.",
        days: "zondag maandag dinsdag woensdag donderdag vrijdag zaterdag",
        short_days: "zo ma di wo do vr za",
    },
    Locale {
        language: "pl",
        months: "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        short_months: "sty lut mar kwi maj cze lip sie wrz paź lis gru",
        days: "niedziela poniedziałek wtorek środa czwartek piątek sobota",
        short_days: "niedz. pon. wt. śr. czw. pt. sob.",
    },
    Locale {
        language: "pt",
        months: "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        short_months: "jan. fev. mar. abr. mai. jun. jul. ago. set. out. nov. dez.",
        days: "domingo segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado",
        short_days: "dom. seg. ter. qua. qui. sex. sáb.",
    },
    Locale {
        language: "ru",
        months: "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
        short_months: "янв. февр. мар. апр. мая июн. июл. авг. сент. окт. нояб. дек.",
        days: "воскресенье понедельник вторник среда четверг пятница суббота",
        short_days: "вс пн вт ср чт пт сб",
    },
    Locale {
        language: "sv",
        months: "januari februari mars april maj juni juli augusti september oktober november december",
        short_months: "jan. feb. mars apr. maj juni juli aug. sep. okt. nov. dec.",
        days: "söndag måndag tisdag onsdag torsdag fredag lördag",
        short_days: "sön mån tis ons tors fre lör",
    },
    Locale {
        language: "tr",
        months: "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık",
        short_months: "Oca Şub Mar Nis May Haz Tem Ağu Eyl Eki Kas Ara",
        days: "Pazar Pazartesi Salı Çarşamba Perşembe Cuma Cumartesi",
        short_days: "Paz Pzt Sal Çar Per Cum Cmt",
    },
    Locale {
        language: "zh",
        months: "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月",
        short_months: "1月 2月 3月 4月 5月 6月 7月 8月 9月 10月 11月 12月",
        days: "星期日 星期一 星期二 星期三 星期四 星期五 星期六",
        short_days: "周日 周一 周二 周三 周四 周五 周六",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_whole() {
        for locale in &LOCALES {
            let counts = [locale.months, locale.short_months, locale.days, locale.short_days]
                .map(|names| names.split(' ').count());
            assert_eq!(counts, [12, 12, 7, 7], "{}", locale.language);
            for (index, name) in locale.months.split(' ').enumerate() {
                assert_eq!(locale.month(name, true), Some((index, "")), "{name}");
            }
            for (index, name) in locale.short_days.split(' ').enumerate() {
                assert_eq!(locale.weekday(name, false), Some((index, "")), "{name}");
            }
        }
    }

    #[test]
    fn the_longest_name_counts() {
        let tag = |tag| Locale::named(tag).unwrap().unwrap();
        assert_eq!(tag("ja").month("12月3", true), Some((11, "3")));
        assert_eq!(tag("tr").weekday("pazartesi!", true), Some((1, "!")));
        assert_eq!(tag("de-AT").month("jan 5", false), Some((0, " 5")));
        assert_eq!(tag("no").language, "nb");
        assert!(Locale::named("en-GB").unwrap().is_none());
        assert!(Locale::named("tlh").is_none());
    }
}
