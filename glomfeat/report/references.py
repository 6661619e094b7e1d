"""The publications and programs that the methods paragraphs name, as BibTeX."""

from dataclasses import dataclass, field

PROGRAMS = ("scikit-learn", "scikit-image", "xgboost", "torch", "torchvision")


@dataclass(frozen=True)
class Work:
    """A reference.

    Attributes
    ----------
    key : str
        Key of the BibTeX entry.
    kind : str
        Type of the BibTeX entry, such as ``article``.
    fields : dict of str to str
    """

    key: str
    kind: str
    fields: dict = field(default_factory=dict)

    def to_bibtex(self):
        """Write the reference as a BibTeX entry."""
        inside = "".join(f",\n  {name} = {{{value}}}" for name, value in self.fields.items())
        return f"@{self.kind}{{{self.key}{inside}\n}}\n"


def _article(key, author, title, journal, year, volume, pages, doi=""):
    found = {"author": author, "title": title, "journal": journal, "year": year, "volume": volume, "pages": pages}
    return Work(key, "article", found | ({"doi": doi} if doi else {}))


def _talk(key, author, title, booktitle, year, **more):
    return Work(key, "inproceedings", {"author": author, "title": title, "booktitle": booktitle, "year": year, **more})


# By the text that cites them in the paragraphs.
WORKS = {
    "Bland & Altman 1986": _article(
        "bland1986",
        "Bland, J. Martin and Altman, Douglas G.",
        "Statistical methods for assessing agreement between two methods of clinical measurement",
        *("The Lancet", "1986", "327", "307--310", "10.1016/S0140-6736(86)90837-8"),
    ),
    "Clopper & Pearson 1934": _article(
        "clopper1934",
        "Clopper, C. J. and Pearson, E. S.",
        "The use of confidence or fiducial limits illustrated in the case of the binomial",
        *("Biometrika", "1934", "26", "404--413", "10.1093/biomet/26.4.404"),
    ),
    "Cohen's kappa (1960)": _article(
        "cohen1960",
        "Cohen, Jacob",
        "A coefficient of agreement for nominal scales",
        *("Educational and Psychological Measurement", "1960", "20", "37--46", "10.1177/001316446002000104"),
    ),
    "Cohen 1968": _article(
        "cohen1968",
        "Cohen, Jacob",
        "Weighted kappa: nominal scale agreement provision for scaled disagreement or partial credit",
        *("Psychological Bulletin", "1968", "70", "213--220", "10.1037/h0026256"),
    ),
    "Cubuk et al. 2020": _talk(
        "cubuk2020",
        "Cubuk, Ekin D. and Zoph, Barret and Shlens, Jonathon and Le, Quoc V.",
        "{RandAugment}: practical automated data augmentation with a reduced search space",
        *("IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops", "2020"),
    ),
    "Hansen, Lunde & Nason 2011": _article(
        "hansen2011",
        "Hansen, Peter R. and Lunde, Asger and Nason, James M.",
        "The model confidence set",
        *("Econometrica", "2011", "79", "453--497", "10.3982/ECTA5771"),
    ),
    "Holm 1979": _article(
        "holm1979",
        "Holm, Sture",
        "A simple sequentially rejective multiple test procedure",
        *("Scandinavian Journal of Statistics", "1979", "6", "65--70"),
    ),
    "Hu et al. 2022": _talk(
        "hu2022",
        "Hu, Edward J. and Shen, Yelong and Wallis, Phillip and Allen-Zhu, Zeyuan and Li, Yuanzhi and Wang, Shean and "
        "Wang, Lu and Chen, Weizhu",
        "{LoRA}: low-rank adaptation of large language models",
        *("International Conference on Learning Representations", "2022"),
    ),
    "Loshchilov & Hutter 2017": _talk(
        "loshchilov2017",
        "Loshchilov, Ilya and Hutter, Frank",
        "{SGDR}: stochastic gradient descent with warm restarts",
        *("International Conference on Learning Representations", "2017"),
    ),
    "Hutter 2017, 2019": _talk(
        "loshchilov2019",
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled weight decay regularization",
        *("International Conference on Learning Representations", "2019"),
    ),
    "Macenko et al. 2009": _talk(
        "macenko2009",
        "Macenko, Marc and Niethammer, Marc and Marron, J. S. and Borland, David and Woosley, John T. and Guan, "
        "Xiaojun and Schmitt, Charles and Thomas, Nancy E.",
        "A method for normalizing histology slides for quantitative analysis",
        *("IEEE International Symposium on Biomedical Imaging", "2009"),
        pages="1107--1110",
        doi="10.1109/ISBI.2009.5193250",
    ),
    "Nadeau & Bengio 2003": _article(
        "nadeau2003",
        "Nadeau, Claude and Bengio, Yoshua",
        "Inference for the generalization error",
        *("Machine Learning", "2003", "52", "239--281", "10.1023/A:1024068626366"),
    ),
    "Reinhard et al. 2001": _article(
        "reinhard2001",
        "Reinhard, Erik and Ashikhmin, Michael and Gooch, Bruce and Shirley, Peter",
        "Color transfer between images",
        *("IEEE Computer Graphics and Applications", "2001", "21", "34--41", "10.1109/38.946629"),
    ),
    "Satterthwaite 1946": _article(
        "satterthwaite1946",
        "Satterthwaite, F. E.",
        "An approximate distribution of estimates of variance components",
        *("Biometrics Bulletin", "1946", "2", "110--114", "10.2307/3002019"),
    ),
    "Shao & Wu 1989": _article(
        "shao1989",
        "Shao, Jun and Wu, C. F. Jeff",
        "A general theory for jackknife variance estimation",
        *("The Annals of Statistics", "1989", "17", "1176--1197", "10.1214/aos/1176347263"),
    ),
    "Shrout & Fleiss 1979": _article(
        "shrout1979",
        "Shrout, Patrick E. and Fleiss, Joseph L.",
        "Intraclass correlations: uses in assessing rater reliability",
        *("Psychological Bulletin", "1979", "86", "420--428", "10.1037/0033-2909.86.2.420"),
    ),
    "Tsamardinos et al. 2018": _article(
        "tsamardinos2018",
        "Tsamardinos, Ioannis and Greasidou, Elissavet and Borboudakis, Giorgos",
        "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation",
        *("Machine Learning", "2018", "107", "1895--1922", "10.1007/s10994-018-5714-4"),
    ),
    "Tukey 1958": _article(
        "tukey1958",
        "Tukey, John W.",
        "Bias and confidence in not-quite large samples (abstract)",
        *("The Annals of Mathematical Statistics", "1958", "29", "614"),
    ),
    "Westfall & Young 1993": Work(
        "westfall1993",
        "book",
        {
            "author": "Westfall, Peter H. and Young, S. Stanley",
            "title": "Resampling-based multiple testing: examples and methods for p-value adjustment",
            "publisher": "Wiley",
            "year": "1993",
        },
    ),
    "Youden 1950": _article(
        "youden1950", "Youden, W. J.", "Index for rating diagnostic tests", "Cancer", "1950", "3", "32--35"
    ),
    "Zhang et al. 2018": _talk(
        "zhang2018",
        "Zhang, Hongyi and Cisse, Moustapha and Dauphin, Yann N. and Lopez-Paz, David",
        "mixup: beyond empirical risk minimization",
        *("International Conference on Learning Representations", "2018"),
    ),
    "Zou & Donner 2008": _article(
        "zou2008",
        "Zou, Guang Yong and Donner, Allan",
        "Construction of confidence limits about effect measures: a general approach",
        *("Statistics in Medicine", "2008", "27", "1693--1702", "10.1002/sim.3095"),
    ),
}
OF_PROGRAMS = {
    "scikit-learn": _article(
        "pedregosa2011",
        "Pedregosa, Fabian and Varoquaux, Ga{\\\"e}l and Gramfort, Alexandre and others",
        "Scikit-learn: machine learning in {Python}",
        *("Journal of Machine Learning Research", "2011", "12", "2825--2830"),
    ),
    "scikit-image": _article(
        "vanderwalt2014",
        "van der Walt, St{\\'e}fan and Sch{\\\"o}nberger, Johannes L. and Nunez-Iglesias, Juan and others",
        "scikit-image: image processing in {Python}",
        *("PeerJ", "2014", "2", "e453", "10.7717/peerj.453"),
    ),
    "xgboost": _talk(
        "chen2016",
        "Chen, Tianqi and Guestrin, Carlos",
        "{XGBoost}: a scalable tree boosting system",
        *("ACM SIGKDD International Conference on Knowledge Discovery and Data Mining", "2016"),
        pages="785--794",
        doi="10.1145/2939672.2939785",
    ),
    "torch": _talk(
        "paszke2019",
        "Paszke, Adam and Gross, Sam and Massa, Francisco and others",
        "{PyTorch}: an imperative style, high-performance deep learning library",
        *("Advances in Neural Information Processing Systems", "2019"),
    ),
    "torchvision": Work(
        "torchvision2016",
        "software",
        {"author": "{TorchVision maintainers and contributors}", "title": "{TorchVision}: {PyTorch}'s computer vision "
         "library", "year": "2016"},
    ),
}  # fmt: skip


def cited(paragraphs, versions):
    """List the publications that paragraphs cite, and the programs that they name.

    Parameters
    ----------
    paragraphs : sequence of str
        From `glomfeat.report.sections.methods.paragraph`.
    versions : dict of str to str
        Versions of the programs by name, including glomfeat's.

    Returns
    -------
    list of Work
        Works in order of their names, then programs.
    """
    text = " ".join(paragraphs)
    works = [work for name, work in WORKS.items() if name in text]
    own = {"author": "{The glomfeat authors}", "title": "glomfeat", "version": versions.get("glomfeat", "")}
    found = [Work("glomfeat", "software", own)]
    for name in PROGRAMS:
        if name in versions and f"{name} {versions[name]}" in text:
            work = OF_PROGRAMS[name]
            found.append(Work(work.key, work.kind, work.fields | {"note": f"{name} {versions[name]}"}))
    return works + found


def to_bibtex(works):
    """Write a BibTeX file."""
    return "\n".join(work.to_bibtex() for work in works)
