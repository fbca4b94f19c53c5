// SPDX-License-Identifier: Apache-2.0
// Every sentence of the page, in every language it speaks.

const en = {
  language: "English",
  skip: "Skip to the content",
  title: "What fruit is this?",
  lead: "Take a photo of one fruit and learn what it is.",
  take: "Take a photo",
  choose: "Choose a photo",
  another: "Another photo",
  drop: "You can also drop a photo here, or paste one.",
  dropNow: "Drop the photo",
  model: "Model",
  staysHere: "Photos never leave this device.",
  isSent: "The photo is sent to this server without place or device, answered, and not kept.",
  looking: "Looking at the photo…",
  loading: "Getting ready",
  loadingPart: (done: string, total: string) => `Getting ready: ${done} of ${total}. This happens once.`,
  ready: "Ready. It now works offline too.",
  yourPhoto: "Your photo",
  noPreview: "This browser cannot show this kind of photo.",
  answer: "Answer",
  certain: "Very sure",
  confident: "Sure",
  unsure: "Not sure",
  probability: (percent: string) => `${percent} likely`,
  unsureTitle: "I am not sure",
  unsureText: (name: string) => `It looks most like ${name}, but it could be something else.`,
  unknownTitle: "I do not know this",
  unknownText: "The photo is unlike everything I have learned. Is there one fruit in it, close up and in good light?",
  closest: "What comes closest",
  candidates: "It could also be",
  candidatesUnsure: "It could be",
  further: "More about it",
  similar: "Similar photos",
  similarOne: (name: string) => `Similar photo: ${name}`,
  facts: "About this fruit",
  kind: "Kind",
  season: "Season",
  storage: "Storage",
  nutrition: "Nutrition, per 100 g",
  sources: "Sources",
  energy_kcal: "Energy", protein_g: "Protein", fat_g: "Fat", carbohydrate_g: "Carbohydrate", sugars_g: "of which sugars",
  fibre_g: "Fibre", vitamin_c_mg: "Vitamin C", potassium_mg: "Potassium",
  askTitle: "Do you know what it is?",
  askText: "Tell me, and the next version will know more. Your photo is then kept on this server, with your answer and the date, without place or device and without your name.",
  wrong: "That is wrong",
  askLabel: "What it is",
  askHint: "Choose from the list or write your own.",
  consent: (days: number) => `I took this photo, no person is in it, and I agree that it is kept for ${days} days at most to teach the model. I can delete it at any time.`,
  give: "Send photo and answer",
  giving: "Sending…",
  given: "Thank you",
  givenText: "Your deletion code. This device remembers it; write it down to delete the photo from another one:",
  needLabel: "Say what it is first.",
  tooLong: "That is too long: a few words will do.",
  needConsent: "Tick the box first: without your consent nothing is sent.",
  mine: "My contributions",
  mineNone: "You have not sent any photo from this device.",
  mineText: "Photos that you sent from this device. The server deletes each by itself when its time is over.",
  mineSent: (when: string) => `sent ${when}`,
  code: "Code",
  remove: "Delete",
  removeOne: (label: string) => `Delete the photo of ${label}`,
  removed: (label: string) => `The photo of ${label} is deleted.`,
  removedAlready: (label: string) => `The photo of ${label} was already deleted.`,
  noSuchCode: "No photo here has this code. Please check it, sign by sign. A photo that was deleted before has no code any more.",
  usedIn: (names: string) => `Before that it was used to make: ${names}.`,
  byCode: "Delete with a code",
  byCodeHint: "A code that you got on another device.",
  privacy: "Privacy",
  licences: "Licences",
  close: "Close",
  purpose: "What for",
  purposeServer: "The photo is used to tell you what is in it. Only if you choose to send it with your answer is it used to teach the model.",
  purposeServerOnly: "The photo is used to tell you what is in it, and for nothing else.",
  purposeEdge: "The photo is used to tell you what is in it. This happens in your browser.",
  place: "Where",
  placeServer: (host: string) => `On the server ${host}. Before a photo is sent, your device takes out the place, the time and the camera written in it. No other service is asked; there are no cookies and no trackers.`,
  placeEdge: (host: string) => `On this device only. The page and the model come from ${host}; no photo goes there.`,
  placeReduced: "If you ask the server to decide, it gets a few numbers made from the photo. The photo cannot be seen in them.",
  howLong: "How long",
  howLongServer: (days: number) => `A photo that is only asked about is gone as soon as it is answered. A photo sent with your answer is kept for ${days} days at most.`,
  howLongServerOnly: "A photo is gone as soon as it is answered.",
  howLongEdge: "A photo is gone when you choose another one or close the page. The model stays in your browser's storage until you clear it.",
  rights: "Your rights",
  rightsText: "You can take back your consent and delete each photo with its code, at any time and without a reason, under “My contributions”. You can also ask whoever runs this server what is kept and have it corrected or deleted, and complain to your data protection authority.",
  rightsServerOnly: "You can ask whoever runs this server what is kept, and complain to your data protection authority.",
  rightsEdge: "There is nothing to delete elsewhere: nothing was sent. Clear this site's data in your browser to remove the model.",
  reduced: "Let the server decide",
  reducedText: (bytes: string) => `Sends ${bytes} of numbers in place of the photo.`,
  reducedDone: (bytes: string, photo: string) => `The server decided. ${bytes} were sent in place of the photo's ${photo}.`,
  faster: "Use the graphics chip",
  fasterText: (bytes: string) => `A faster engine for this device; ${bytes} to download once.`,
  took: (ms: string) => `Answered in ${ms} ms on this device.`,
  failed: "That did not work",
  offline: "The server cannot be reached. Are you online?",
  busy: "Too many questions at once. Wait a moment and try again.",
  full: "The server has no room left, so nothing was saved or deleted. Try again another day.",
  too_large: "The photo is too large for this server.",
  not_a_photo: "This is not a photo I can read. JPEG, PNG and WebP work.",
  not_allowed: "This server asks for a permission that this page does not have.",
  refused: "The server did not take it.",
  broken: "Something is wrong on the other side. Try again later.",
  old_browser: "This browser is too old for this page. A newer one will do.",
  retry: "Try again",
  madeBy: "Made with Pomona",
};

export type Texts = typeof en;

const fr: Texts = {
  language: "Français",
  skip: "Aller au contenu",
  title: "Quel est ce fruit ?",
  lead: "Prenez un fruit en photo et apprenez ce que c’est.",
  take: "Prendre une photo",
  choose: "Choisir une photo",
  another: "Autre photo",
  drop: "Vous pouvez aussi déposer une photo ici, ou la coller.",
  dropNow: "Déposez la photo",
  model: "Modèle",
  staysHere: "Les photos ne quittent jamais cet appareil.",
  isSent: "La photo est envoyée à ce serveur sans lieu ni appareil, analysée, puis oubliée.",
  looking: "Je regarde la photo…",
  loading: "Préparation",
  loadingPart: (done, total) => `Préparation : ${done} sur ${total}. Une seule fois.`,
  ready: "Prêt. Cela marche aussi hors ligne.",
  yourPhoto: "Votre photo",
  noPreview: "Ce navigateur ne sait pas afficher ce genre de photo.",
  answer: "Réponse",
  certain: "Très sûr",
  confident: "Sûr",
  unsure: "Pas sûr",
  probability: (percent) => `probable à ${percent}`,
  unsureTitle: "Je ne suis pas sûr",
  unsureText: (name) => `Cela ressemble surtout à : ${name}, mais ce pourrait être autre chose.`,
  unknownTitle: "Je ne connais pas cela",
  unknownText: "La photo ne ressemble à rien de ce que j’ai appris. Y voit-on un seul fruit, de près et bien éclairé ?",
  closest: "Ce qui s’en approche le plus",
  candidates: "Ce pourrait aussi être",
  candidatesUnsure: "Ce pourrait être",
  further: "En savoir plus",
  similar: "Photos semblables",
  similarOne: (name) => `Photo semblable : ${name}`,
  facts: "À propos de ce fruit",
  kind: "Famille",
  season: "Saison",
  storage: "Conservation",
  nutrition: "Valeurs nutritives, pour 100 g",
  sources: "Sources",
  energy_kcal: "Énergie", protein_g: "Protéines", fat_g: "Lipides", carbohydrate_g: "Glucides", sugars_g: "dont sucres",
  fibre_g: "Fibres", vitamin_c_mg: "Vitamine C", potassium_mg: "Potassium",
  askTitle: "Savez-vous ce que c’est ?",
  askText: "Dites-le, et la prochaine version en saura plus. Votre photo est alors gardée sur ce serveur, avec votre réponse et la date, sans lieu, sans appareil et sans votre nom.",
  wrong: "C’est faux",
  askLabel: "Ce que c’est",
  askHint: "Choisissez dans la liste ou écrivez.",
  consent: (days) => `J’ai pris cette photo, on n’y voit personne, et j’accepte qu’elle soit gardée ${days} jours au plus pour instruire le modèle. Je peux l’effacer à tout moment.`,
  give: "Envoyer la photo et la réponse",
  giving: "Envoi…",
  given: "Merci",
  givenText: "Votre code d’effacement. Cet appareil le retient ; notez-le pour effacer la photo depuis un autre :",
  needLabel: "Dites d’abord ce que c’est.",
  tooLong: "C’est trop long : quelques mots suffisent.",
  needConsent: "Cochez d’abord la case : sans votre accord, rien n’est envoyé.",
  mine: "Mes contributions",
  mineNone: "Vous n’avez envoyé aucune photo depuis cet appareil.",
  mineText: "Les photos envoyées depuis cet appareil. Le serveur efface chacune de lui-même à son terme.",
  mineSent: (when) => `envoyée le ${when}`,
  code: "Code",
  remove: "Effacer",
  removeOne: (label) => `Effacer la photo de ${label}`,
  removed: (label) => `La photo de ${label} est effacée.`,
  removedAlready: (label) => `La photo de ${label} était déjà effacée.`,
  noSuchCode: "Aucune photo n’a ce code ici. Vérifiez-le signe par signe. Une photo déjà effacée n’a plus de code.",
  usedIn: (names) => `Elle avait servi à faire : ${names}.`,
  byCode: "Effacer avec un code",
  byCodeHint: "Un code reçu sur un autre appareil.",
  privacy: "Vie privée",
  licences: "Licences",
  close: "Fermer",
  purpose: "Pour quoi",
  purposeServer: "La photo sert à vous dire ce qu’on y voit. Elle n’instruit le modèle que si vous choisissez de l’envoyer avec votre réponse.",
  purposeServerOnly: "La photo sert à vous dire ce qu’on y voit, et à rien d’autre.",
  purposeEdge: "La photo sert à vous dire ce qu’on y voit. Cela se passe dans votre navigateur.",
  place: "Où",
  placeServer: (host) => `Sur le serveur ${host}. Avant l’envoi, votre appareil retire de la photo le lieu, l’heure et l’appareil qui y sont inscrits. Aucun autre service n’est interrogé ; ni cookies ni traceurs.`,
  placeEdge: (host) => `Sur cet appareil seulement. La page et le modèle viennent de ${host} ; aucune photo n’y va.`,
  placeReduced: "Si vous laissez le serveur décider, il reçoit quelques nombres tirés de la photo. On ne peut pas l’y voir.",
  howLong: "Combien de temps",
  howLongServer: (days) => `Une photo seulement analysée disparaît dès la réponse. Une photo envoyée avec votre réponse est gardée ${days} jours au plus.`,
  howLongServerOnly: "Une photo disparaît dès la réponse.",
  howLongEdge: "Une photo disparaît quand vous en choisissez une autre ou fermez la page. Le modèle reste dans la mémoire du navigateur jusqu’à ce que vous la vidiez.",
  rights: "Vos droits",
  rightsText: "Vous pouvez retirer votre accord et effacer chaque photo avec son code, à tout moment et sans raison, sous « Mes contributions ». Vous pouvez aussi demander à l’exploitant de ce serveur ce qu’il garde, le faire corriger ou effacer, et vous plaindre à l’autorité de protection des données.",
  rightsServerOnly: "Vous pouvez demander à l’exploitant de ce serveur ce qu’il garde, et vous plaindre à l’autorité de protection des données.",
  rightsEdge: "Il n’y a rien à effacer ailleurs : rien n’a été envoyé. Videz les données de ce site dans votre navigateur pour retirer le modèle.",
  reduced: "Laisser le serveur décider",
  reducedText: (bytes) => `Envoie ${bytes} de nombres à la place de la photo.`,
  reducedDone: (bytes, photo) => `Le serveur a décidé. ${bytes} ont été envoyés au lieu des ${photo} de la photo.`,
  faster: "Utiliser la puce graphique",
  fasterText: (bytes) => `Un moteur plus rapide pour cet appareil ; ${bytes} à télécharger une fois.`,
  took: (ms) => `Réponse en ${ms} ms sur cet appareil.`,
  failed: "Cela n’a pas marché",
  offline: "Le serveur est injoignable. Êtes-vous en ligne ?",
  busy: "Trop de demandes à la fois. Attendez un peu et réessayez.",
  full: "Le serveur n’a plus de place : rien n’a été gardé ni effacé. Réessayez un autre jour.",
  too_large: "La photo est trop grande pour ce serveur.",
  not_a_photo: "Je ne sais pas lire cette photo. JPEG, PNG et WebP conviennent.",
  not_allowed: "Ce serveur demande une permission que cette page n’a pas.",
  refused: "Le serveur ne l’a pas acceptée.",
  broken: "Quelque chose ne va pas de l’autre côté. Réessayez plus tard.",
  old_browser: "Ce navigateur est trop ancien pour cette page. Un plus récent conviendra.",
  retry: "Réessayer",
  madeBy: "Fait avec Pomona",
};

export const languages: Record<string, Texts> = { en, fr };

const remembered = "pomona.language";

function preferred(): string {
  let wanted: readonly string[] = navigator.languages ?? [navigator.language];
  try {
    const own = localStorage.getItem(remembered);
    if (own) wanted = [own, ...wanted];
  } catch { /* Storage is off: the browser's own languages count. */ }
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in languages) ?? "en";
}

let current = preferred();

export const language = () => current;
export const t = () => languages[current];

export function setLanguage(tag: string) {
  current = tag;
  try {
    localStorage.setItem(remembered, tag);
  } catch { /* Not remembered. */ }
}

export function percent(share: number): string {
  const format = new Intl.NumberFormat(current, { style: "percent", maximumFractionDigits: share > 0.99 ? 1 : 0 });
  // Never 100 % for what is not certain, nor 0 % for what is not impossible.
  if (share > 0 && share < 0.01) return `<\u00a0${format.format(0.01)}`;
  return share >= 0.9995 && share < 1 ? `>\u00a0${format.format(0.999)}` : format.format(share);
}

export const number = (value: number, digits = 0) =>
  new Intl.NumberFormat(current, { maximumFractionDigits: digits }).format(value);

// 4200000 -> "4.2 MB"; the unit is the language's own ("Mo").
export function bytes(count: number): string {
  const [unit, size] = count < 1000 ? ["byte", 1] : count < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  const digits = size > 1 && count / Number(size) < 10 ? 1 : 0;
  return new Intl.NumberFormat(current, { style: "unit", unit: String(unit), unitDisplay: size === 1 ? "long" : "short",
    maximumFractionDigits: digits }).format(count / Number(size));
}

export const day = (iso: string) => {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : new Intl.DateTimeFormat(current, { dateStyle: "long" }).format(date);
};
