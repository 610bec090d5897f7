"""Who and what is in the demo province. Every organisation, person and amount is fictional."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["CLUSTERS", "ENTERPRISES", "INSTRUMENTS", "LABS", "ClusterEntry", "InstrumentEntry", "OrganisationEntry"]


@dataclass(frozen=True, slots=True)
class OrganisationEntry:
    key: str
    name: str
    name_en: str
    city: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InstrumentEntry:
    """`hours` are (first ISO weekday, last, opens, closes) in minutes, `rate` yuan an hour, `value` yuan."""

    lab: str
    name: str
    name_en: str
    category: str
    model: str
    maker: str
    rate: int
    value: int
    functions: str
    functions_en: str
    hours: tuple[int, int, int, int] = (1, 5, 480, 1320)
    buffers_min: tuple[int, int] = (0, 30)
    longest_h: int = 8


@dataclass(frozen=True, slots=True)
class ClusterEntry:
    code: str
    lab: str
    name: str
    name_en: str
    city: str
    adapter: str
    accepts_work: bool
    partitions: tuple[tuple[str, str, str, str, int, int, int], ...]
    """Name, label, English label, card type, most cards, CPUs a card, fen a card-hour."""


def _lab(key: str, name: str, name_en: str, city: str, **facts: Any) -> OrganisationEntry:
    return OrganisationEntry(key, name, name_en, city, facts)


def _firm(key: str, name: str, name_en: str, city: str, **facts: Any) -> OrganisationEntry:
    return OrganisationEntry(key, name, name_en, city, {"legal_person": True, "dishonest_years_clean": 5, **facts})


LABS: Final = (
    _lab("qianjiang", "钱江大学电子显微中心", "Qianjiang University Centre for Electron Microscopy", "杭州"),
    _lab("xixi", "西溪分析测试研究院", "Xixi Institute of Analysis and Testing", "杭州"),
    _lab("yongjiang", "甬江新材料研究所", "Yongjiang Institute of Advanced Materials", "宁波"),
    _lab("oujiang", "瓯江生命健康实验室", "Oujiang Life and Health Laboratory", "温州"),
    _lab("nanhu", "南湖精密计量院", "Nanhu Institute of Precision Metrology", "嘉兴"),
    _lab("jinghu", "镜湖集成电路检测中心", "Jinghu Integrated Circuit Testing Centre", "绍兴"),
    _lab(
        "zhisuan",
        "之滨智能计算中心",
        "Zhibin Intelligent Computing Centre",
        "杭州",
        kind="ai_centre",
        pflops=320,
    ),
    _lab("haishu", "海曙超级计算中心", "Haishu Supercomputing Centre", "宁波", kind="supercomputing_centre"),
)

ENTERPRISES: Final = (
    _firm(
        "xinghe",
        "杭州星禾智能科技有限公司",
        "Hangzhou Xinghe Intelligence",
        "杭州",
        sme=True,
        industry="软件信息服务业",
        tags=["tech_sme"],
    ),
    _firm(
        "lanting",
        "绍兴兰汀半导体有限公司",
        "Shaoxing Lanting Semiconductor",
        "绍兴",
        sme=True,
        industry="制造业",
        tags=["tech_sme"],
    ),
    _firm(
        "haichuan",
        "宁波海川新材料股份有限公司",
        "Ningbo Haichuan Materials",
        "宁波",
        sme=False,
        industry="制造业",
        tags=["hnte"],
    ),
    _firm(
        "ruian",
        "温州瑞岸生物医药有限公司",
        "Wenzhou Ruian Biopharma",
        "温州",
        sme=True,
        industry="医药制造业",
        tags=["tech_sme"],
    ),
    _firm(
        "yunfan",
        "嘉兴云帆光学有限公司",
        "Jiaxing Yunfan Optics",
        "嘉兴",
        sme=True,
        industry="制造业",
        tags=["tech_sme"],
    ),
    _firm(
        "mingzhu",
        "湖州明竹新能源有限公司",
        "Huzhou Mingzhu New Energy",
        "湖州",
        sme=True,
        industry="制造业",
        tags=["specialised_sme"],
    ),
    _firm(
        "jinhua",
        "金华启辰电机有限公司",
        "Jinhua Qichen Motors",
        "金华",
        sme=True,
        industry="制造业",
        tags=["specialised_sme"],
    ),
    _firm(
        "taizhou", "台州百川泵业有限公司", "Taizhou Baichuan Pumps", "台州", sme=False, industry="制造业", tags=["hnte"]
    ),
    _firm(
        "quzhou",
        "衢州清源环境科技有限公司",
        "Quzhou Qingyuan Environment",
        "衢州",
        sme=True,
        industry="生态环境",
        tags=["tech_sme"],
    ),
    _firm(
        "zhoushan",
        "舟山远屿海洋装备有限公司",
        "Zhoushan Yuanyu Marine",
        "舟山",
        sme=True,
        industry="制造业",
        tags=["tech_sme"],
    ),
    _firm(
        "lishui",
        "丽水青岚中药有限公司",
        "Lishui Qinglan Herbal Medicine",
        "丽水",
        sme=True,
        industry="医药制造业",
        tags=["tech_sme"],
    ),
    _firm(
        "wenyu",
        "杭州文语模型科技有限公司",
        "Hangzhou Wenyu Models",
        "杭州",
        sme=True,
        industry="软件信息服务业",
        tags=["tech_sme", "filed_llm"],
    ),
)

I = InstrumentEntry  # noqa: E741  a table reads better with a short name
INSTRUMENTS: Final = (
    I(
        "qianjiang",
        "球差校正透射电子显微镜",
        "Aberration-corrected TEM",
        "analytical",
        "Spectra 300",
        "赛默飞",
        1800,
        32_000_000,
        "原子级成像、能谱与电子能量损失谱，电压 60–300 kV。",
        "Atomic imaging, EDS and EELS at 60–300 kV.",
        buffers_min=(30, 30),
    ),
    I(
        "qianjiang",
        "场发射扫描电子显微镜",
        "Field-emission SEM",
        "analytical",
        "SU8600",
        "日立",
        480,
        4_500_000,
        "微纳形貌观察与能谱分析，分辨率 0.6 nm。",
        "Imaging and EDS down to 0.6 nm.",
    ),
    I(
        "qianjiang",
        "聚焦离子束双束系统",
        "Dual-beam FIB",
        "analytical",
        "Helios 5",
        "赛默飞",
        1500,
        9_800_000,
        "截面加工、透射样品制备与三维重构。",
        "Cross-sections, TEM lamellae, 3D reconstruction.",
        buffers_min=(30, 30),
    ),
    I(
        "qianjiang",
        "冷冻透射电子显微镜",
        "Cryo-TEM",
        "analytical",
        "Glacios 2",
        "赛默飞",
        2600,
        26_000_000,
        "生物大分子单颗粒成像，自动数据采集。",
        "Single-particle imaging with automated collection.",
        hours=(1, 7, 0, 1440),
        longest_h=48,
    ),
    I(
        "xixi",
        "600 MHz 核磁共振波谱仪",
        "600 MHz NMR spectrometer",
        "analytical",
        "AVANCE NEO",
        "布鲁克",
        420,
        7_200_000,
        "溶液与固体核磁，低温探头。",
        "Liquid and solid NMR with cryoprobe.",
        hours=(1, 7, 0, 1440),
        longest_h=72,
    ),
    I(
        "xixi",
        "单晶 X 射线衍射仪",
        "Single-crystal X-ray diffractometer",
        "analytical",
        "D8 VENTURE",
        "布鲁克",
        360,
        3_900_000,
        "小分子与药物晶型结构解析。",
        "Structure of small molecules and drug polymorphs.",
        longest_h=24,
    ),
    I(
        "xixi",
        "X 射线光电子能谱仪",
        "X-ray photoelectron spectrometer",
        "analytical",
        "K-Alpha",
        "赛默飞",
        520,
        5_600_000,
        "表面元素与化学态，深度剖析。",
        "Surface composition, chemical state, depth profiles.",
    ),
    I(
        "xixi",
        "电感耦合等离子体质谱仪",
        "ICP-MS",
        "analytical",
        "7900",
        "安捷伦",
        300,
        2_100_000,
        "痕量元素定量，ppt 级检出。",
        "Trace elements down to ppt.",
    ),
    I(
        "xixi",
        "三重四极杆液质联用仪",
        "Triple-quadrupole LC-MS",
        "analytical",
        "6500+",
        "SCIEX",
        390,
        3_300_000,
        "药物与代谢物定量分析。",
        "Quantification of drugs and metabolites.",
    ),
    I(
        "yongjiang",
        "原子力显微镜",
        "Atomic force microscope",
        "physical",
        "Dimension Icon",
        "布鲁克",
        280,
        2_400_000,
        "纳米形貌、力学与电学性质。",
        "Nanoscale topography, mechanics, electrics.",
    ),
    I(
        "yongjiang",
        "综合物性测量系统",
        "Physical property measurement system",
        "physical",
        "PPMS DynaCool",
        "Quantum Design",
        900,
        6_800_000,
        "1.8–400 K、9 T 下的输运、磁学与热学。",
        "Transport, magnetism and heat at 1.8–400 K, 9 T.",
        hours=(1, 7, 0, 1440),
        longest_h=96,
    ),
    I(
        "yongjiang",
        "同步热分析仪",
        "Simultaneous thermal analyser",
        "physical",
        "STA 449",
        "耐驰",
        180,
        900_000,
        "热重与差热，室温至 1,600 °C。",
        "TG-DSC up to 1,600 °C.",
    ),
    I(
        "yongjiang",
        "万能材料试验机",
        "Universal testing machine",
        "physical",
        "5982",
        "英斯特朗",
        160,
        1_100_000,
        "拉伸、压缩、弯曲，100 kN，带高温炉。",
        "Tension, compression, bending to 100 kN, with furnace.",
    ),
    I(
        "yongjiang",
        "显微 CT",
        "Micro-CT",
        "special",
        "Xradia 620",
        "蔡司",
        760,
        8_200_000,
        "无损三维成像，最小体素 40 nm。",
        "Non-destructive 3D imaging to 40 nm voxels.",
        longest_h=24,
    ),
    I(
        "oujiang",
        "激光共聚焦显微镜",
        "Confocal laser microscope",
        "medical",
        "LSM 980",
        "蔡司",
        260,
        4_100_000,
        "活细胞多色成像，超分辨模块。",
        "Live-cell multicolour imaging with Airyscan.",
    ),
    I(
        "oujiang",
        "流式细胞分选仪",
        "Cell sorter",
        "medical",
        "FACSAria Fusion",
        "BD",
        450,
        4_700_000,
        "六激光、四路分选，生物安全柜内操作。",
        "Six lasers, four-way sorting in a safety cabinet.",
        buffers_min=(30, 30),
    ),
    I(
        "oujiang",
        "单细胞测序平台",
        "Single-cell sequencing platform",
        "medical",
        "Chromium X",
        "10x Genomics",
        3200,
        2_600_000,
        "单细胞建库与质控。",
        "Single-cell library preparation and QC.",
    ),
    I(
        "oujiang",
        "高内涵成像系统",
        "High-content imager",
        "medical",
        "Opera Phenix",
        "珀金埃尔默",
        540,
        5_200_000,
        "药物筛选自动成像与分析。",
        "Automated imaging for drug screening.",
    ),
    I(
        "nanhu",
        "三坐标测量机",
        "Coordinate measuring machine",
        "metrology",
        "PRISMO ultra",
        "蔡司",
        340,
        3_800_000,
        "精密零件几何量测量，0.5 μm。",
        "Geometry of precision parts to 0.5 μm.",
    ),
    I(
        "nanhu",
        "激光干涉仪",
        "Laser interferometer",
        "metrology",
        "XL-80",
        "雷尼绍",
        220,
        620_000,
        "机床与导轨精度校准。",
        "Calibration of machine tools and guides.",
    ),
    I(
        "nanhu",
        "电磁兼容暗室",
        "EMC anechoic chamber",
        "electronic",
        "10 m 法",
        "ETS",
        1600,
        12_500_000,
        "辐射与传导发射、抗扰度测试，10 米法。",
        "Emission and immunity tests, 10 m method.",
        hours=(1, 6, 480, 1260),
    ),
    I(
        "nanhu",
        "高低温湿热试验箱",
        "Climatic chamber",
        "process",
        "PL-3J",
        "爱斯佩克",
        120,
        380_000,
        "−40–150 °C、10–98 %RH 环境试验。",
        "−40 to 150 °C, 10–98 % RH.",
        hours=(1, 7, 0, 1440),
        longest_h=240,
    ),
    I(
        "jinghu",
        "半导体参数分析仪",
        "Semiconductor parameter analyser",
        "electronic",
        "B1500A",
        "是德科技",
        310,
        1_900_000,
        "器件直流、脉冲与电容特性，探针台。",
        "DC, pulsed and CV device characterisation.",
    ),
    I(
        "jinghu",
        "晶圆级可靠性测试系统",
        "Wafer-level reliability tester",
        "electronic",
        "DX1",
        "Tektronix",
        680,
        4_300_000,
        "电迁移、热载流子与介质击穿。",
        "Electromigration, HCI and TDDB.",
        longest_h=72,
    ),
    I(
        "jinghu",
        "毫米波矢量网络分析仪",
        "Millimetre-wave network analyser",
        "electronic",
        "ZNA67",
        "罗德与施瓦茨",
        590,
        3_100_000,
        "10 MHz–67 GHz，在片测量。",
        "10 MHz–67 GHz, on-wafer.",
    ),
)

CLUSTERS: Final = (
    ClusterEntry(
        "zhibin", "zhisuan", "之滨智算一期", "Zhibin AI Phase I", "杭州", "local", True,
        (
            ("a100", "A100 训练分区", "A100 training", "a100", 8, 2, 900),
            ("h20", "H20 推理分区", "H20 inference", "h20", 4, 2, 600),
        ),
    ),
    ClusterEntry(
        "haishu", "haishu", "海曙超算", "Haishu HPC", "宁波", "local", True,
        (("gpu", "通用加速分区", "General accelerators", "a100", 4, 2, 750),),
    ),
    ClusterEntry(
        "zhibin2", "zhisuan", "之滨智算二期", "Zhibin AI Phase II", "杭州", "slurm", False,
        (("910b", "昇腾训练分区", "Ascend training", "910b", 8, 24, 680),),
    ),
)  # fmt: skip
