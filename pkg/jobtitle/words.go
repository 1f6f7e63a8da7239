package jobtitle

// Sets of words, without accents and in lower case. They hold the seniority words of English and the frequent ones of
// German, French and Spanish.
var (
	articles = set("the a an der die das dem den le la les l el los las un une una")
	generals = set("general generale generaux generala")

	// gone stand before a job that somebody no longer has, or does not have yet.
	gone = set("retired former formerly ex previously unemployed aspiring seeking looking pensioner homemaker housewife none " +
		"rentner rentnerin pensionar pensionarin ehemaliger ehemalige ehemals arbeitslos hausfrau hausmann " +
		"retraite retraitee ancien ancienne chomeur chomeuse jubilado jubilada desempleado desempleada antiguo antigua")

	learners = set("intern interns trainee trainees apprentice apprentices cadet pupil " +
		"praktikant praktikantin praktikum werkstudent werkstudentin azubi auszubildender auszubildende lehrling volontar volontarin " +
		"referendar referendarin stagiaire alternant alternante apprenti apprentie becario becaria aprendiz practicante")
	trainers    = set("coordinator manager director supervisor instructor trainer recruiter teacher leader mentor adviser advisor program coach")
	taught      = set("manager supervisor teacher instructor leader trainer coach")
	studentJobs = set("nurse teacher assistant worker intern ambassador physiotherapist midwife dietitian pilot pharmacist clinician")
	doctors     = set("physician doctor surgeon veterinarian radiologist")

	volunteers = set("volunteer volunteers unpaid ehrenamtlich ehrenamtliche ehrenamtlicher benevole benevoles voluntario " +
		"voluntaria")
	volunteerStaff = set("coordinator manager director supervisor administrator services service program programs recruiter leader " +
		"specialist head officer liaison engagement management coordination")

	assistants = set("assistant asst assistante assistent assistentin assistenz asistente pa ea aide " +
		"vorstandsassistent vorstandsassistentin vorstandsassistenz direktionsassistent direktionsassistentin geschaftsfuhrungsassistenz " +
		"geschaftsleitungsassistenz chefassistenz assistants")
	executiveAssistants = set("vorstandsassistent vorstandsassistentin vorstandsassistenz direktionsassistent " +
		"direktionsassistentin geschaftsfuhrungsassistenz geschaftsleitungsassistenz chefassistenz")
	secretaries = set("secretary sekretar sekretarin chefsekretar chefsekretarin secretaire secretario secretaria sekretariat")
	advisers    = set("advisor adviser consultant counsel counselor analyst specialist coordinator liaison representative reporting " +
		"referent referentin conseiller conseillere asesor asesora")
	bosses = set("direction geschaftsfuhrung geschaftsleitung vorstands direccion gerencia presidencia directeur directrice")

	founders = set("founder founders cofounder proprietor proprietress franchisee " +
		"inhaber inhaberin grunder grunderin mitgrunder mitgrunderin firmeninhaber firmeninhaberin unternehmer unternehmerin selbststandig " +
		"selbststandiger selbststandige selbstandig selbstandiger selbstandige fondateur fondatrice cofondateur cofondatrice proprietaire " +
		"dueno duena propietario propietaria autonomo autonoma fundador fundadora cofundador cofundadora empresario empresaria")
	freelancers   = set("freelance freelancer freelancers freiberufler freiberuflerin freiberuflich independant independante entrepreneur")
	associates    = set("associe associee")
	thingsOwned   = set("product process data service system risk control content scrum feature platform home pet dog cat")
	ownerServices = set("representative rep relations services service advocate liaison consultant assistant office support secretary analyst")

	notPartners = set("business hr people channel talent finance sales brand delivery training partner technology alliance learning " +
		"recruitment community marketing client customer travel life network trading strategic implementation growth success service " +
		"account exercise bank")
	partnerWork = set("development marketing success enablement management relations account sales program programs operations " +
		"relationship solutions alliance engagement support")
	firmWork = set("audit tax law managing senior equity general limited founding advisory consulting assurance litigation associate " +
		"junior name transaction deal investment salary fixed actuarial forensic deputy assistant acting regional office")

	deputies = set("deputy associate assoc vice adjoint adjointe stellvertretender stellvertretende stellvertreter stv stellv adjunto " +
		"adjunta sub under delegue deleguee")
	acting    = set("acting interim temporary kommissarischer interimaire interino")
	beginners = set("junior jr beginner debutant debutante nachwuchs")
	seniors   = set("senior sr sen seniors snr")
	// elders make senior a word of age.
	elders = set("adult adults citizen citizens living care center centre services housing home homes community communities companion " +
		"program programs pastor health caregiver caretaker aide ministry ministries nutrition fitness bus meals")
	youngSchools = set("high college school varsity league achievement")
	grades       = set("senior sr snr junior jr lead principal deputy assistant asst associate vice acting interim trainee intern apprentice")

	graders = set("engineer consultant scientist architect developer analyst designer researcher planner geologist programmer economist " +
		"statistician associate investigator administrator technologist strategist specialist hydrogeologist ecologist biologist chemist " +
		"physicist software ingenieur entwickler engineers")
	softwareJobs = set("engineer scientist developer designer architect programmer")
	leadMetal    = set("abatement paint generation based hazard hazards removal burner inspector risk smelter acid former poisoning gen")
	forces       = set("warrant petty master flight constable mate sergeant")
	highCalling  = set("engineer accountant architect scientist economist counsel medical nurse actuary investigator auditor buyer editor " +
		"technologist strategist pharmacist psychologist physician inspector")

	craftDirectors = set("art arts casting music musical film movie stage creative choir choral photography activities activity cruise " +
		"camp news lighting scene theatre theater television tv technical dance video band worship ballet commercial " +
		"television stunt fight sound studio chorus choreography animation lyric youth ministries")
	nominal = set("account accounts case project projects product products relationship community category brand engagement delivery " +
		"wealth fund asset money partner partnership stage location vendor pricing data seo crm email " +
		"campaign test release bid proposal territory portfolio talent stage database content records document")
	domestic = set("family household band artist tour care nurse")
	shopsFR  = set("magasin boutique restaurant agence bar hotel cafe creche")
	teams    = set("gruppe filiale team shift crew group section squad practice project department unit branch")

	clerks = set("clerk clerks laborer labourer helper aushilfe hilfskraft aushilfskraft helfer helferin " +
		"ayudante aide")
	officials  = set("municipal town city county parish borough")
	attendants = set("attendant sachbearbeiter sachbearbeiterin auxiliar dependiente dependienta employe employee porter")
	shops      = set("sales retail store shop receiving warehouse customer stock cashier rental service")
	licensed   = set("physician therapy therapist anesthesiologist surgical pathologist pathology occupational physical legal certified " +
		"licensed registered nursing social veterinary research radiology medical dental")
	scholars = set("professor professorin professeur profesor profesora")
	lawyers  = set("attorney prosecutor solicitor state district commissioner")

	professions = set("analyst specialist coordinator consultant engineer representative rep advisor adviser administrator agent trainer " +
		"instructor editor counselor nurse teacher technician receptionist driver recruiter officer associate operator worker developer " +
		"designer planner writer scientist buyer support relations liaison")
)
