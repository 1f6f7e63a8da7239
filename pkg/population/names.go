package population

import "strings"

// name is a name and how it is written in an e-mail address.
type name struct {
	text, ascii string
}

// names are the names of one culture.
type names struct {
	female, male, family []name
}

// parseNames reads names separated by spaces: "Zoé:zoe" states the form for addresses, "Emma" has its own lower case.
// Where a name is more than one word its words are joined by '_'.
func parseNames(female, male, family string) *names {
	parse := func(text string) []name {
		var list []name
		for _, word := range strings.Fields(text) {
			shown, ascii, found := strings.Cut(word, ":")
			if !found {
				ascii = strings.ToLower(strings.NewReplacer("_", "", "-", "", "'", "").Replace(word))
			}
			list = append(list, name{text: strings.ReplaceAll(shown, "_", " "), ascii: ascii})
		}
		return list
	}
	return &names{female: parse(female), male: parse(male), family: parse(family)}
}

// The names of the cultures: common ones, in the script that their bearers use.
var (
	french = parseNames(
		`Emma Jade Louise Alice Chloé:chloe Léa:lea Manon Camille Sarah Inès:ines Zoé:zoe Juliette Lucie Clara Anaïs:anais Marie
		Mathilde Pauline Margaux Élise:elise Céline:celine Sophie Nathalie Isabelle Sandrine Valérie:valerie Catherine Monique
		Françoise:francoise Martine Aurélie:aurelie Émilie:emilie Hélène:helene Noémie:noemie Maëlle:maelle Yasmine Fatou Aïcha:aicha Linh Soraya`,
		`Gabriel Léo:leo Raphaël:raphael Louis Arthur Jules Hugo Lucas Adam Nathan Théo:theo Maxime Antoine Thomas Alexandre Julien
		Nicolas Pierre Paul Mathieu Sébastien:sebastien Frédéric:frederic Stéphane:stephane Laurent Philippe Michel Jean-Luc Gérard:gerard
		François:francois Rémi:remi Benoît:benoit Cédric:cedric Jérôme:jerome Loïc:loic Yann Karim Mehdi Mamadou Anh Olivier`,
		`Martin Bernard Dubois Durand Robert Richard Petit Moreau Simon Laurent Lefèvre:lefevre Michel Garcia David Bertrand Roux Vincent
		Fournier Morel Girard André:andre Mercier Dupont Lambert Bonnet François:francois Martinez Legrand Garnier Faure Rousseau Blanc
		Guérin:guerin Muller Henry Roussel Nicolas Perrin Morin Mathieu Clément:clement Gauthier Dumont Lopez Fontaine Chevalier Robin
		Masson Sanchez Gérard:gerard Nguyen Boyer Denis Lemaire Duval Joly Gautier Roger Roche Noël:noel Meyer Lucas Meunier Picard
		Brun Blanchard Giraud Dufour Benali Diallo Traoré:traore Haddad Étcheverry:etcheverry Le_Goff D'Angelo Lafitte Labat Darrigade`)
	german = parseNames(
		`Mia Emilia Hannah Sophia Lea Marie Anna Lena Clara Frieda Jana Katharina Sabine Petra Ursula Monika Elif Käthe:kaethe`,
		`Noah Matteo Elias Finn Leon Paul Felix Jonas Lukas Jürgen:juergen Klaus Wolfgang Stefan Björn:bjoern Götz:goetz Emre Sören:soeren Thomas`,
		`Müller:mueller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer:schaefer Koch Bauer Richter Klein Wolf
		Schröder:schroeder Neumann Schwarz Zimmermann Braun Krüger:krueger Hartmann Lange Groß:gross Yilmaz Kowalski Vogel Jäger:jaeger`)
	spanish = parseNames(
		`Lucía:lucia Sofía:sofia Martina María:maria Paula Carmen Ana Laura Marta Cristina Pilar Dolores Begoña:begona Nerea Ainhoa Montserrat`,
		`Hugo Martín:martin Lucas Mateo Leo Daniel Alejandro Pablo Álvaro:alvaro Javier Carlos José:jose Antonio Iñaki:inaki Íker:iker Jordi Xoán:xoan`,
		`García:garcia González:gonzalez Rodríguez:rodriguez Fernández:fernandez López:lopez Martínez:martinez Sánchez:sanchez Pérez:perez Gómez:gomez
		Martín:martin Jiménez:jimenez Ruiz Hernández:hernandez Díaz:diaz Moreno Muñoz:munoz Álvarez:alvarez Romero Alonso Etxeberria Puig Castro`)
	portuguese = parseNames(
		`Maria Leonor Matilde Beatriz Carolina Ana Inês:ines Mariana Conceição:conceicao Fátima:fatima Joana Sofia`,
		`João:joao Francisco Afonso Tomás:tomas Duarte Rodrigo Gonçalo:goncalo Pedro Rui António:antonio Luís:luis Nuno`,
		`Silva Santos Ferreira Pereira Oliveira Costa Rodrigues Martins Sousa Fernandes Gonçalves:goncalves Gomes Lopes Simões:simoes Magalhães:magalhaes`)
	english = parseNames(
		`Olivia Amelia Isla Ava Grace Freya Charlotte Emily Sophie Jessica Hannah Sarah Claire Karen Linda Patricia Margaret Siobhán:siobhan Priya Aaliyah`,
		`Oliver George Noah Arthur Harry Leo Jack James William Thomas Daniel Michael David Christopher Andrew Robert Rhys Callum Mohammed DeShawn`,
		`Smith Jones Taylor Brown Williams Wilson Johnson Davies Robinson Wright Thompson Evans Walker White Roberts Green Hall Wood Harris Clarke
		Patel Khan Begum O'Brien MacLeod Campbell Washington Jefferson Ramirez Nguyen Kim Cohen Murphy Anderson Miller Lee`)
	arabic = parseNames(
		`فاطمة:fatima مريم:maryam زينب:zeinab سارة:sara نور:nour ياسمين:yasmin هدى:huda ليلى:layla أمينة:amina خديجة:khadija سلمى:salma`,
		`محمد:mohamed أحمد:ahmed محمود:mahmoud علي:ali حسن:hassan يوسف:youssef عمر:omar إبراهيم:ibrahim خالد:khaled كريم:karim طارق:tarek`,
		`السيد:elsayed حسن:hassan إبراهيم:ibrahim عبد_الله:abdallah المصري:elmasry منصور:mansour سليمان:soliman فاروق:farouk العلوي:alaoui بناني:bennani التازي:tazi الإدريسي:idrissi`)
	japanese = parseNames(
		`陽菜:hina さくら:sakura 結衣:yui 美咲:misaki 花子:hanako 恵子:keiko 由美:yumi 葵:aoi あかり:akari 真由美:mayumi エミリ:emiri`,
		`蓮:ren 悠真:yuma 大翔:hiroto 翔太:shota 健一:kenichi 隆:takashi 誠:makoto 直樹:naoki 拓也:takuya 浩:hiroshi ケン:ken`,
		`佐藤:sato 鈴木:suzuki 高橋:takahashi 田中:tanaka 伊藤:ito 渡辺:watanabe 山本:yamamoto 中村:nakamura 小林:kobayashi 加藤:kato 吉田:yoshida 山田:yamada 佐々木:sasaki 髙橋:takahashi`)
	hindi = parseNames(
		`अनन्या:ananya प्रिया:priya काव्या:kavya सुनीता:sunita अंजलि:anjali मीरा:meera पूजा:pooja लक्ष्मी:lakshmi दीपिका:deepika रानी:rani`,
		`आरव:aarav विवान:vivaan राहुल:rahul अमित:amit संजय:sanjay राजेश:rajesh विजय:vijay अर्जुन:arjun सुरेश:suresh कृष्ण:krishna`,
		`शर्मा:sharma वर्मा:verma गुप्ता:gupta सिंह:singh कुमार:kumar पटेल:patel जोशी:joshi मिश्रा:mishra यादव:yadav देशमुख:deshmukh अय्यर:iyer`)
	greek = parseNames(
		`Μαρία:maria Ελένη:eleni Αικατερίνη:aikaterini Βασιλική:vasiliki Σοφία:sofia Γεωργία:georgia Άννα:anna Ζωή:zoi Δήμητρα:dimitra`,
		`Γεώργιος:georgios Ιωάννης:ioannis Κωνσταντίνος:konstantinos Δημήτριος:dimitrios Νικόλαος:nikolaos Παναγιώτης:panagiotis Χρήστος:christos`,
		`Παπαδόπουλος:papadopoulos Αγγελόπουλος:angelopoulos Παππάς:pappas Καραγιάννης:karagiannis Βλάχος:vlachos Ιωάννου:ioannou Οικονόμου:oikonomou Γεωργίου:georgiou`)
	cyrillic = parseNames(
		`Мария:maria Елена:elena Анна:anna Олена:olena Ірина:iryna Виктория:viktoria Надежда:nadezhda Оксана:oksana Десислава:desislava`,
		`Георги:georgi Иван:ivan Димитър:dimitar Олександр:oleksandr Андрій:andrii Сергій:serhii Николай:nikolay Петър:petar Микола:mykola`,
		`Иванов:ivanov Петров:petrov Димитров:dimitrov Шевченко:shevchenko Коваленко:kovalenko Бондаренко:bondarenko Ткаченко:tkachenko Георгиев:georgiev Мельник:melnyk`)
	korean = parseNames(
		`서연:seoyeon 지우:jiwoo 하은:haeun 민지:minji 수빈:subin 영희:younghee 은주:eunju`,
		`민준:minjun 서준:seojun 도윤:doyun 지훈:jihoon 현우:hyunwoo 철수:chulsoo 성호:sungho`,
		`김:kim 이:lee 박:park 최:choi 정:jung 강:kang 조:cho 윤:yoon 장:jang`)
)
